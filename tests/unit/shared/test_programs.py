"""Every program that cannot start says why in one line that names the setting, the file or the command to use."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared.cli.embedded import address
from shared.errors import SettingsError
from shared.programs import bound
from shared.settings import Settings
from tests.harness.processes import ROOT, environment, free_port

PROGRAMS = {
    "web": ["web.server"],
    "worker": ["worker", "bulk"],
    "sweep": ["worker", "sweep"],
    "migrations": ["shared.store.migrations"],
    "keys": ["shared.access", "--tenant", "plant", "--name", "first"],
    "migrate": ["shared.cli.main", "migrate"],
    "repair": ["worker.upkeep.repair"],
}
AWAY = "redis://127.0.0.1:1/0"  # nothing listens there, and a broker that is away stops no start
NO_TABLES = "run `gonogo migrate` first"
DATABASES = {
    "sqlite:///{folder}/none.db": {**dict.fromkeys(("web", "worker", "sweep", "keys", "repair"), NO_TABLES)},
    "sqlite:////nowhere/at/all.db": dict.fromkeys(PROGRAMS, "unable to open database file"),
    "sqlite:////etc/passwd": dict.fromkeys(("web", "worker", "migrate", "keys"), "file is not a database"),
    "sqlite:///{folder}/none.db?mode=ro": dict.fromkeys(("web", "migrate"), "SQLite knows no option 'mode'"),
    "postgresql://u:pa55@127.0.0.1:1/db": dict.fromkeys(
        ("web", "sweep", "migrate", "keys", "repair"), "Connection refused"
    ),
    "postgresql://u:pa55@127.0.0.1:99999/db": {"migrate": "99999"},
    "postgresql://u:pa55@127.0.0.1:1/db?pool=9": {"migrate": 'invalid connection option "pool"'},
    "postgresql:///db?host=/nowhere": {"migrate": "/nowhere"},
}


def run(argv: list[str], **settings: str) -> list[str]:
    """The lines of a program that must end in an error, and without a traceback."""
    asked = environment(**{"GONOGO_BROKER_URL": AWAY, "GONOGO_PORT": str(free_port()), **settings})
    done = subprocess.run(
        [sys.executable, "-m", *argv], cwd=ROOT, env=asked, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode not in (0, -9), done.stdout
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert "pa55" not in done.stderr + done.stdout
    return (done.stdout + done.stderr).splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "program", "says"),
    [(url, program, says) for url, said in DATABASES.items() for program, says in said.items()],
)
def test_a_database_that_cannot_be_used_is_said_in_one_line(
    url: str, program: str, says: str, tmp_path: Path
) -> None:
    lines = run(PROGRAMS[program], GONOGO_DATABASE_URL=url.format(folder=tmp_path))
    assert sum(says in line for line in lines) == 1, lines
    assert len(lines) <= 2, lines  # the web says before that the broker is away


FILE = "{folder}/a-file"
SETTINGS = [
    ("GONOGO_DATA_DIR", FILE, ("migrate", "migrations"), "a-file"),
    ("GONOGO_DATA_DIR", f"{FILE}/below", ("migrate", "web"), ""),
    ("GONOGO_DATA_DIR", "", ("migrate", "web"), "GONOGO_DATA_DIR is empty"),
    ("GONOGO_DATA_DIR", os.fsdecode(b"/tmp/\xff"), ("migrate",), "GONOGO_DATA_DIR must be UTF-8"),
    ("GONOGO_BLOB_URL", f"file://{FILE}", ("migrate",), "a-file"),
    ("GONOGO_BLOB_URL", "s3://bucket", ("migrate",), "GONOGO_BLOB_URL must be file:///"),
    ("GONOGO_HOST", "x" * 70, ("web",), "cannot listen on xxx"),  # no name server is asked for it
    ("GONOGO_HOST", "203.0.113.1", ("web",), "cannot listen on 203.0.113.1:"),
    ("GONOGO_METRICS_ADDRESS", "203.0.113.1:9100", ("web",), "cannot listen on 203.0.113.1:9100"),
    ("GONOGO_ACCESS_LOG", "{folder}", ("web",), "GONOGO_ACCESS_LOG: "),
    ("GONOGO_PORT", "0", ("web",), "GONOGO_PORT must be a number from 1"),
    ("GONOGO_RETENTION_S", "inf", ("migrate",), "GONOGO_RETENTION_S must be a number from 0 to"),
    ("GONOGO_LANES", "fast", ("worker",), "GONOGO_LANES: no lane fast"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "program", "says"),
    [(name, value, program, says) for name, value, programs, says in SETTINGS for program in programs],
)
def test_a_setting_that_cannot_work_is_said_in_one_line(
    name: str, value: str, program: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("")
    given = {"GONOGO_DATA_DIR": str(tmp_path / "data")}
    if name == "GONOGO_ACCESS_LOG":  # which is opened once the service has its database
        assert subprocess.run(
            [sys.executable, "-m", *PROGRAMS["migrations"]], cwd=ROOT, env=environment(**given), check=True
        )
    lines = run(PROGRAMS[program], **{**given, name: value.format(folder=tmp_path)})
    assert sum(says in line for line in lines) >= 1, lines
    assert len(lines) <= 2, lines


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "::1%1", "localhost", "", "0.0.0.0", "::"])
def test_every_form_of_a_host_is_listened_on_and_reached(host: str) -> None:
    settings = Settings(host=host, port=free_port())
    address.check_port(settings)
    with bound(host, settings.port) as listening:
        listening.listen(1)
        assert address.lacks(settings) is not None, "it connects, and no one answers"
    url = address.url(settings)
    assert "%" not in url.replace("%25", "") and url.count("[") == (":" in host)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="in use"):
        bound("127.0.0.1", taken.getsockname()[1])
