"""A real Valkey on a Unix socket or on a port of loopback."""

import subprocess
from pathlib import Path

from shared.cli.embedded.stack import valkey_binary
from tests.harness.processes import listens, until


def valkey_command(
    folder: Path, *, socket: Path | None = None, port: int = 0, durable: bool = True
) -> list[str]:
    """The command line of a server that keeps its data in `folder`; it listens on `socket` or on `port`."""
    where = (
        ["--port", "0", "--unixsocket", str(socket)]
        if socket
        else ["--bind", "127.0.0.1", "--port", str(port)]
    )
    append = "yes" if durable else "no"
    return [
        str(valkey_binary()), *where, "--dir", str(folder),
        "--appendonly", append, "--save", "", "--maxmemory-policy", "noeviction",
    ]  # fmt: skip


def start_valkey(folder: Path, socket: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start a server that keeps nothing on disk, with `more` arguments, and wait until it listens."""
    with (folder / "valkey.log").open("wb") as log:
        server = subprocess.Popen(
            [*valkey_command(folder, socket=socket, durable=False), *more],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    wait_for_valkey(socket=socket)
    return server


def start_tcp_valkey(
    folder: Path, port: int, *more: str, sentinel: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a server on a port that keeps nothing on disk; or a Sentinel, with its configuration file."""
    command = valkey_command(folder, port=port, durable=False)
    if sentinel is not None:
        command = [command[0], str(sentinel), "--sentinel"]
    with (folder / f"valkey-{port}.log").open("wb") as log:
        server = subprocess.Popen([*command, *more], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    wait_for_valkey(port=port)
    return server


def wait_for_valkey(*, socket: Path | None = None, port: int = 0) -> None:
    if socket is not None:
        until(socket.exists, 20, "Valkey's socket exists")
    else:
        until(lambda: listens(port), 20, "Valkey listens")
