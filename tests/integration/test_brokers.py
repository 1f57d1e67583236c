"""Every way to name a broker works with real processes, or is refused by each program in one line."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.settings import Settings
from shared.store.engine import Database
from tests.harness.broker import start_tcp_valkey
from tests.harness.certificates import self_signed
from tests.harness.databases import prepare
from tests.harness.processes import ROOT, end_all, environment, free_port, listens, until
from tests.harness.service import gonogo
from tests.harness.stack import FAST, Stack

pytestmark = pytest.mark.timeout(150)
PASSWORD = "p@ss/word"
QUOTED = "p%40ss%2Fword"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A broker with a password."""
    listen = free_port()
    server = start_tcp_valkey(tmp_path_factory.mktemp("v"), listen, "--requirepass", PASSWORD)
    yield listen
    end_all([server], 10)


@contextlib.contextmanager
def sentinel(folder: Path, port: int) -> Iterator[str]:
    """A Sentinel that watches the broker."""
    listen = free_port()
    (folder / "sentinel.conf").write_text(
        f"bind 127.0.0.1\nport {listen}\ndir {folder}\nrequirepass watch\n"
        f"sentinel monitor parts 127.0.0.1 {port} 1\nsentinel auth-pass parts {PASSWORD}\n"
    )
    server = start_tcp_valkey(folder, listen, sentinel=folder / "sentinel.conf")
    try:
        yield f"sentinel://:{QUOTED}@127.0.0.1:{listen}/3?master=parts&sentinel_password=watch"
    finally:
        end_all([server], 10)


@contextlib.contextmanager
def tls(folder: Path, port: int) -> Iterator[str]:
    """TLS in front of the broker: the packaged server has none."""
    certificate, key = self_signed(folder, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with source, contextlib.suppress(OSError):
            while block := source.recv(2**16):
                target.sendall(block)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)  # so that the other direction ends, too

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = listener.accept()
                with contextlib.suppress(OSError):
                    outer = context.wrap_socket(raw, server_side=True)
                    inner = socket.create_connection(("127.0.0.1", port))
                    for pair in ((outer, inner), (inner, outer)):
                        threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"valkeys://:{QUOTED}@localhost:{listener.getsockname()[1]}/4?ssl_ca_certs={certificate}"
    finally:
        listener.close()


@contextlib.contextmanager
def plain(_: Path, port: int) -> Iterator[str]:
    yield f"valkey://default:{QUOTED}@127.0.0.1:{port}/2"


@pytest.mark.parametrize("kind", [plain, tls, sentinel])
def test_a_batch_is_judged_by_way_of_the_broker(
    kind: "contextlib.AbstractContextManager[str]",
    port: int,
    tmp_path: Path,
    artifact: Path,
    images: dict[str, bytes],
) -> None:
    with kind(tmp_path, port) as url:  # type: ignore[operator]
        settings = replace(
            Settings(data_dir=tmp_path), broker_url=url, port=free_port(), workers=1,
            **{**FAST, "republish_s": 60.0, "min_free_bytes": 0},
        )  # fmt: skip
        stack = Stack(tmp_path, settings)
        stack.prepare([artifact])
        try:
            stack.start("web", "bulk")
            until(lambda: listens(settings.port), 30, "the web listens")
            batch = stack.finish(stack.submit(dict(list(images.items())[:5]))["id"], 60)
            assert batch["counts"]["succeeded"] == 5
        finally:
            stack.stop()


REFUSED = "the broker refuses the user or password of GONOGO_BROKER_URL"
PROGRAMS = (["web.server"], ["worker", "bulk"], ["worker", "sweep"])


def said_once(program: list[str], says: str, settings: Settings) -> None:
    """The program ends with a line that says this, without a traceback and without a password."""
    done = subprocess.run(
        [sys.executable, "-m", *program],
        cwd=ROOT, env=environment(**settings.to_env()), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode in (1, 3, os.EX_CONFIG), program
    assert sum(says in line for line in lines) == 1, (program, lines)
    assert not any("Traceback" in line or "wrong" in line for line in lines)


@pytest.mark.parametrize(
    ("url", "says", "programs"),
    [
        ("redis://:wrong@127.0.0.1:PORT/0", REFUSED, PROGRAMS),
        ("redis://127.0.0.1:PORT/0", REFUSED, ()),
        (
            f"redis://:{QUOTED}@127.0.0.1:PORT/99",
            "the broker has no database of the number in",
            PROGRAMS[1:2],
        ),
        ("amqp://guest:wrong@127.0.0.1:PORT", "GONOGO_BROKER_URL must be redis://", PROGRAMS),
    ],
)
def test_a_broker_that_cannot_be_used_ends_each_program_in_one_line(
    url: str, says: str, programs: tuple[list[str], ...], port: int, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, port=free_port(), broker_url=url.replace("PORT", str(port)))
    database = Database(settings.database)
    prepare(database)
    database.dispose()
    for program in programs:
        said_once(program, says, settings)
    up = gonogo("up", "--data-dir", str(tmp_path / "up"), GONOGO_BROKER_URL=settings.broker_url)
    assert up.returncode == 2
    assert says in up.stderr and len(up.stderr.splitlines()) == 1
    found = gonogo("doctor", "--data-dir", str(tmp_path), GONOGO_BROKER_URL=settings.broker_url)
    assert any(line.startswith("problem  broker") and says in line for line in found.stdout.splitlines())


@pytest.mark.parametrize(
    ("url", "programs"),
    [
        ("sqlite://", PROGRAMS),
        ("sqlite:///:memory:", ()),
        ("mysql://u:wrong@h/d", PROGRAMS[:1]),
        ("nonsense", ()),
        ("postgresql://u:wrong@h:port/d", ()),
    ],
)
def test_a_database_url_that_cannot_be_used_ends_each_program_in_one_line(
    url: str, programs: tuple[list[str], ...], tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, port=free_port(), database_url=url)
    for program in (*programs, ["shared.store.migrations"]):
        said_once(program, "GONOGO_DATABASE_URL", settings)
