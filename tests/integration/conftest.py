"""A Valkey for the session, and one installation for each module and each kind of database."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.cli.embedded.stack import valkey_binary
from tests.harness.application import Application, application
from tests.harness.databases import empty_database_url
from tests.harness.stack import until


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey on a socket of its own."""
    folder = tmp_path_factory.mktemp("valkey")
    socket = folder / "v.sock"
    argv = [
        str(valkey_binary()),
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--dir",
        str(folder),
        "--save",
        "",
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        until(socket.exists, 20, "Valkey's socket")
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """The web application, once on each kind of database."""
    folder = tmp_path_factory.mktemp("installation")
    with (
        empty_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url) as made,
    ):
        yield made
