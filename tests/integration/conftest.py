"""A Valkey for the session, and one installation for each module and each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.application import Application, application
from tests.harness.broker import start_valkey
from tests.harness.databases import migrated_database_url


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey on a socket of its own."""
    folder = tmp_path_factory.mktemp("valkey")
    server = start_valkey(folder, folder / "v.sock")
    yield f"unix://{folder / 'v.sock'}"
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """The web application, once on each kind of database."""
    folder = tmp_path_factory.mktemp("installation")
    with (
        migrated_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url) as made,
    ):
        yield made
