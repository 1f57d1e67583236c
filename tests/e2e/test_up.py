"""`gonogo up` on real processes: it starts whole, ends whole, and goes on after it was killed."""

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import stack
from shared.client.client import Client
from shared.settings import Settings
from tests.harness.images import jpegs
from tests.harness.processes import processes_of, wait_until_gone
from tests.harness.service import Up, gonogo

Start = Callable[..., Up]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Up] = []

    def begin(data_dir: Path, **more: Any) -> Up:
        started.append(Up(data_dir, **more))
        return started[-1]

    yield begin
    for one in started:
        one.end()


def pid_of(data_dir: Path, name: str) -> int:
    """The process that the supervisor has written down under this name."""
    return int(json.loads((data_dir / "pids.json").read_text())["processes"][name]["pid"])


def test_it_starts_decides_leaves_nothing_running_and_starts_children_again(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    up = start(tmp_path / "a#b?c%41;d e", GONOGO_HOST="::1").wait_ready()  # a folder of any name, and IPv6
    assert f"ready: http://[::1]:{up.port} " in "\n".join(up.lines)
    with Client(f"http://[::1]:{up.port}", (up.data_dir / "admin-key").read_text().strip()) as client:
        batch = client.wait(client.submit(jpegs(20))["id"], timeout_s=60)
    assert batch["counts"]["succeeded"] == 20
    assert sum(1 for line in up.lines if "admin key" in line) == 1
    assert stat.S_IMODE((up.data_dir / "admin-key").stat().st_mode) == 0o600

    image = tmp_path / "part.jpg"
    image.write_bytes(jpegs(1)[0][1])
    sent = gonogo("submit", str(image), "--wait", "--json", "--data-dir", str(up.data_dir))
    assert sent.returncode == 0, sent.stderr

    refused = gonogo("up", "--data-dir", str(up.data_dir), "--port", str(up.port + 1))
    assert refused.returncode == 2
    assert refused.stderr == f"gonogo: {up.data_dir} is in use by process {up.process.pid}\n"

    assert up.stop() == 0
    assert processes_of(up.data_dir) == []
    assert up.lines[-1] == "stopped"
    assert not any("killed" in line or "ended" in line for line in up.lines)
    assert (up.data_dir / "gonogo.db").is_file()
    found = {path.name for path in tmp_path.iterdir()} - {image.name, up.output.name}
    assert found == {up.data_dir.name}, "nothing lies elsewhere"

    again = start(up.data_dir).wait_ready()
    assert not any("admin key" in line for line in again.lines)
    with again.client() as client:
        assert client.batch(batch["id"])["status"] == "completed"
    _children_that_die_are_started_again(again)


def _children_that_die_are_started_again(up: Up) -> None:
    for name in ("web", "worker-bulk", "valkey"):
        os.kill(pid_of(up.data_dir, name), signal.SIGKILL)
    ends_at = time.monotonic() + 40
    while sum("ended (signal SIGKILL)" in line for line in up.lines) < 3:
        assert time.monotonic() < ends_at, up.lines
        time.sleep(0.1)
    with up.client() as client:
        batch = client.wait(client.submit(jpegs(20))["id"], timeout_s=60)
    assert batch["counts"]["succeeded"] == 20
    assert up.stop() == 0
    assert processes_of(up.data_dir) == []


@pytest.mark.slow
@pytest.mark.row(31)
def test_after_a_killed_supervisor_and_after_kill_9_of_everything_the_next_start_goes_on(
    start: Start, tmp_path: Path
) -> None:
    deep = tmp_path / ("deep-" * 20) / "data"  # its socket's name would be too long for the system
    up = start(deep).wait_ready()
    with up.client() as client:
        batch_id = client.submit(jpegs(200))["id"]
        up.kill()
    assert wait_until_gone(deep, 10) == []
    again = start(deep).wait_ready()
    with again.client() as client:
        batch = client.wait(batch_id, timeout_s=90)
    assert batch["counts"]["succeeded"] == batch["counts"]["total"] == 200
    again = _goes_on_after_kill_9_of_everything(start, again)
    _, socket_path = data_dirs.with_broker(Settings(data_dir=deep))
    assert socket_path is not None
    assert deep not in socket_path.parents
    assert socket_path.exists()
    assert again.stop() == 0
    assert processes_of(deep) == []
    assert not socket_path.parent.exists()


def _goes_on_after_kill_9_of_everything(start: Start, up: Up) -> Up:
    with up.client() as client:
        batch_id = client.submit(jpegs(200))["id"]
    running = processes_of(up.data_dir)
    for process in running:
        process.kill()
    psutil.wait_procs(running, timeout=10)
    again = start(up.data_dir).wait_ready()
    with again.client() as client:
        batch = client.wait(batch_id, timeout_s=90)
    assert batch["counts"]["succeeded"] == batch["counts"]["total"] == 200
    return again


def test_a_given_broker_and_a_key_made_before_the_first_start_are_used(start: Start, tmp_path: Path) -> None:
    data_dir, own = tmp_path / "data", tmp_path / "own"
    made = gonogo("keys", "create", "--tenant", "plant", "--name", "first", "--data-dir", str(data_dir))
    assert made.returncode == 0, made.stderr
    own.mkdir()
    argv = stack.valkey(Settings(data_dir=own), own / "own.sock").argv
    broker = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        up = start(data_dir, GONOGO_BROKER_URL=f"unix://{own / 'own.sock'}").wait_ready()
        assert not any(
            "valkey-server" in " ".join(process.cmdline()) for process in processes_of(up.data_dir)
        )
        with up.client() as client:
            batch = client.wait(client.submit(jpegs(5))["id"], timeout_s=60)
        assert batch["counts"]["succeeded"] == 5
        listed = gonogo("status", "--json", "--url", up.url, "--key", made.stdout.strip())
        assert (listed.returncode, listed.stdout) == (0, "[]\n"), listed.stderr
        assert up.stop() == 0
        assert broker.poll() is None
    finally:
        broker.terminate()
        broker.wait(10)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"GONOGO_DATABASE_URL": "sqlite:////nowhere/at/all.db"}, "the database could not be prepared: "),
        ({"GONOGO_LANES": "fast"}, "GONOGO_LANES: no lane fast"),
    ],
    ids=["database", "lanes"],
)
def test_a_setup_that_cannot_work_ends_in_one_line(
    start: Start, tmp_path: Path, setting: dict[str, str], says: str
) -> None:
    broken = start(tmp_path / "data", **setting)
    assert broken.process.wait(60) == 1
    assert broken.lines[-1].startswith("gonogo: ") and says in broken.lines[-1]
    assert not any("again in 1 s" in line for line in broken.lines), "no second try"
    assert not any("Traceback" in line for line in broken.lines)
    assert processes_of(broken.data_dir) == []


@pytest.mark.parametrize(
    ("setting", "waits_for"),
    [
        ({"GONOGO_BROKER_URL": "redis://127.0.0.1:1/0"}, "broker: away: ConnectionError"),
        pytest.param(
            {"GONOGO_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": ""},
            "device cuda was asked for",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["broker", "device"],
)
def test_a_start_that_takes_long_says_what_it_waits_for(
    start: Start, tmp_path: Path, setting: dict[str, str], waits_for: str
) -> None:
    up = start(tmp_path / "data", **setting)
    ends_at = time.monotonic() + 90
    while not any(line.startswith("waiting for ") and waits_for in line for line in up.lines):
        assert time.monotonic() < ends_at, up.lines
        assert up.process.poll() is None, up.lines
        time.sleep(0.2)
    assert up.stop() == 0


def test_a_port_that_is_taken_is_said_before_anything_starts(start: Start, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refused = start(tmp_path / "other", port=port)
        assert refused.process.wait(30) == 2
        assert "Address already in use" in refused.lines[-1]
    assert not (tmp_path / "other" / "valkey").exists()


def test_ctrl_c_while_it_starts_ends_it_cleanly(start: Start, tmp_path: Path) -> None:
    up = start(tmp_path / "data")
    ends_at = time.monotonic() + 30
    while not (up.data_dir / "pids.json").exists():
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert processes_of(up.data_dir) == []


def test_migrate_makes_the_database(tmp_path: Path) -> None:
    assert gonogo("migrate", "--data-dir", str(tmp_path / "data")).returncode == 0
    assert (tmp_path / "data" / "gonogo.db").exists()
    broken = gonogo("migrate", GONOGO_DATABASE_URL="sqlite:////nowhere/at/all.db")
    assert broken.returncode == 1
