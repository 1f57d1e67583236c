"""The doctor on setups that are wrong on purpose."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.cli.doctor import broker, database, places, repair
from shared.cli.doctor.findings import Finding
from shared.cli.embedded import stack
from shared.cli.embedded.processes import wait_until
from shared.settings import Settings


def problems(findings: Iterator[Finding]) -> list[str]:
    return [f"{one.name}: {one.detail} -> {one.mend}" for one in findings if one.state == "problem"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path.resolve())


def test_a_data_dir_that_others_may_write_and_a_key_they_may_read(settings: Settings) -> None:
    settings.data_dir.chmod(0o777)
    (settings.data_dir / "admin-key").write_text("secret")
    (settings.data_dir / "admin-key").chmod(0o644)
    found = problems(places.data_dir(settings))
    assert [line.rpartition("-> ")[2].split()[:2] for line in found] == [
        ["chmod", "go-rwx"],
        ["chmod", "600"],
    ]


def test_too_little_room(settings: Settings) -> None:
    assert problems(places.disk(replace(settings, min_free_bytes=2**60)))[0].startswith("disk: ")
    assert problems(places.disk(replace(settings, min_free_bytes=1))) == []


def test_a_database_that_is_none(settings: Settings) -> None:
    (settings.data_dir / "gonogo.db").write_bytes(b"no database" * 1000)
    assert "not a database" in problems(database.database(settings))[0]


def test_a_database_server_that_is_away(settings: Settings) -> None:
    pytest.importorskip("psycopg")
    away = replace(settings, database_url="postgresql+psycopg://gonogo:secret@127.0.0.1:1/gonogo")
    (line,) = problems(database.database(away))
    assert "GONOGO_DATABASE_URL" in line
    assert "secret" not in line


def test_a_broker_that_is_away(settings: Settings) -> None:
    (line,) = problems(broker.broker(replace(settings, broker_url="redis://:secret@127.0.0.1:1/0")))
    assert line.startswith("broker: 127.0.0.1:1/0: ")
    assert "secret" not in line


def power_cut(folder: Path, what: str) -> None:
    """The files of an embedded broker, as a power cut leaves them."""
    files = {
        "appendonly.aof.1.base.rdb": b"REDIS0011" + bytes(8),  # a checksum may be zeros
        "appendonly.aof.1.incr.aof": b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n",
        "appendonly.aof.manifest": b"file appendonly.aof.1.base.rdb seq 1 type b\n"
        b"file appendonly.aof.1.incr.aof seq 1 type i\n",
    }
    if what == "zeros at the end":
        files["appendonly.aof.1.incr.aof"] += bytes(4096)
    elif what == "an empty manifest":
        files["appendonly.aof.manifest"] = b""
    elif what == "a manifest of zeros":
        files["appendonly.aof.manifest"] = bytes(88)
    elif what == "no log":
        del files["appendonly.aof.1.incr.aof"]
    elif what == "an empty snapshot":
        files["appendonly.aof.1.base.rdb"] = b""
    elif what == "a snapshot of zeros":
        files["appendonly.aof.1.base.rdb"] = bytes(88)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


SPOILED = [
    "zeros at the end",
    "an empty manifest",
    "a manifest of zeros",
    "no log",
    "an empty snapshot",
    "a snapshot of zeros",
]


@pytest.mark.parametrize("what", SPOILED)
def test_a_queues_log_after_a_power_cut_is_seen_and_set_aside(settings: Settings, what: str) -> None:
    power_cut(settings.data_dir / "valkey" / "appendonlydir", what)
    (line,) = problems(broker.broker(settings))
    assert line.startswith("queue's log: ") and "gonogo doctor --repair" in line
    (told,) = repair.set_queue_log_aside(settings, dry_run=True)
    assert told.state == "problem"
    assert (settings.data_dir / "valkey" / "appendonlydir").is_dir()
    (mended,) = repair.set_queue_log_aside(settings, dry_run=False)
    assert mended.state == "mended"
    (aside,) = settings.data_dir.glob("valkey-unreadable-*")
    assert str(aside) in mended.detail
    assert problems(broker.broker(settings)) == []


def test_a_queues_log_that_is_whole_stays(settings: Settings) -> None:
    power_cut(settings.data_dir / "valkey" / "appendonlydir", "nothing")
    assert problems(broker.broker(settings)) == []
    assert list(repair.set_queue_log_aside(settings, dry_run=False)) == []


def test_a_broker_that_throws_messages_away(settings: Settings) -> None:
    socket = settings.data_dir / "valkey.sock"
    argv = [*stack.valkey(settings, socket).argv, "--maxmemory-policy", "allkeys-lru"]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        assert wait_until(socket.exists, 5)
        (line,) = problems(broker.broker(replace(settings, broker_url=f"unix://{socket}")))
        assert "policy allkeys-lru" in line
        assert line.endswith("CONFIG SET maxmemory-policy noeviction")
    finally:
        server.terminate()
        server.wait(10)


def test_a_new_setup_has_nothing_to_complain_of(settings: Settings) -> None:
    for check in (places.data_dir, database.database, broker.broker):
        assert problems(check(settings)) == []
