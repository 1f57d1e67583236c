"""Processes are known by pid and birth, and die with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded.processes import boot_id, identity, kill, members, start, wait_until

SLEEP = ["sleep", "60"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "GONOGO_DATA_DIR": str(folder)}


def test_a_recycled_pid_is_never_killed(folder: Path) -> None:
    stranger = start(SLEEP, environment(folder))
    try:
        born = identity(stranger.pid)
        assert born is not None
        another = replace(born, born=born.born - 1)  # who had this pid before
        kill(another, signal.SIGKILL)
        data_dirs.record(folder, {"web": another})
        assert data_dirs.end_survivors(folder) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_survivors_and_what_they_started_are_ended(folder: Path) -> None:
    child = start(["sh", "-c", "sleep 60 & sleep 60"], environment(folder))
    born = identity(child.pid)
    assert born is not None
    assert wait_until(lambda: len(list(members(born, data_dirs.mark(folder)))) == 3, 5)
    grandchildren = psutil.Process(child.pid).children()
    data_dirs.record(folder, {"web": born})
    child.kill()  # its own children stay
    child.wait()
    assert data_dirs.end_survivors(folder) == ["web"]
    assert psutil.wait_procs(grandchildren, timeout=5)[1] == []


def test_a_record_of_another_boot_names_nobody(folder: Path) -> None:
    child = start(SLEEP, environment(folder))
    try:
        born = identity(child.pid)
        assert born is not None
        data_dirs.record(folder, {"web": born})
        target = folder / "pids.json"
        target.write_text(target.read_text().replace(boot_id(), "another"))
        assert data_dirs.survivors(folder) == {}
        target.write_text("half a reco")
        assert data_dirs.survivors(folder) == {}
    finally:
        child.kill()
        child.wait()


def test_a_child_dies_with_its_parent(folder: Path) -> None:
    script = (
        "import os, signal, sys; from shared.cli.embedded.processes import start; "
        "child = start(['sleep', '60'], dict(os.environ)); print(child.pid, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=20
    )
    pid = int(done.stdout)
    assert done.returncode == -signal.SIGKILL
    assert wait_until(lambda: identity(pid) is None, 5)


def test_a_data_dir_is_held_by_one_at_a_time(folder: Path) -> None:
    held = data_dirs.lock(folder)
    assert data_dirs.is_locked(folder)
    with pytest.raises(data_dirs.DataDirInUse, match=f"in use by process {os.getpid()}"):
        data_dirs.lock(folder)
    os.close(held)
    assert not data_dirs.is_locked(folder)


def test_a_key_is_kept_where_only_its_owner_reads_it(folder: Path) -> None:
    assert data_dirs.admin_key(folder) is None
    data_dirs.keep_admin_key(folder, "gng_secret")
    assert data_dirs.admin_key(folder) == "gng_secret"
    assert (folder / "admin-key").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_others_can_enter_never_holds_the_socket(folder: Path) -> None:
    data_dirs.make_private(folder / "own")
    (folder / "open").mkdir()
    (folder / "open").chmod(0o755)
    (folder / "link").symlink_to(folder / "own")
    for name in ("open", "link"):
        with pytest.raises(data_dirs.DataDirUnusable, match="not ours alone"):
            data_dirs.make_private(folder / name)


def test_waiting_ends_in_time() -> None:
    began = time.monotonic()
    assert wait_until(lambda: False, 0.2) is False
    assert time.monotonic() - began < 2
