"""The database: it answers, SQLite's file is whole, and the schema has been made."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from shared.cli.doctor.findings import Finding
from shared.settings import Settings

_PATIENCE_S = 3


def database(settings: Settings) -> Iterator[Finding]:
    """Look at the database that the settings name."""
    file = settings.sqlite_file
    yield _server(settings.database) if file is None else _file(file)


def _file(file: Path) -> Finding:
    if not file.exists():
        return Finding("database", "skipped", f"{file} does not exist yet", "`gonogo up` makes it")
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_S)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return Finding("database", "problem", f"{file}: {error}", "stop the stack, restore a backup")
    finally:
        connection.close()
    if verdict != "ok":
        return Finding("database", "problem", f"{file}: {verdict}", "stop the stack, restore a backup")
    return _schema(str(file), version[0] if version else None)


def _server(address: str) -> Finding:
    import sqlalchemy

    from shared.store.address import POOLED, read_url

    url = read_url(address).difference_update_query([POOLED])
    shown = url.render_as_string(hide_password=True)
    bounded = {"connect_timeout": _PATIENCE_S} if url.get_backend_name() == "postgresql" else {}
    engine = sqlalchemy.create_engine(url, connect_args=bounded)
    try:
        with engine.connect() as connected:
            found = connected.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
    except sqlalchemy.exc.ProgrammingError:
        return Finding("database", "problem", f"{shown} has no tables", "gonogo migrate")
    except sqlalchemy.exc.SQLAlchemyError as error:
        said = str(error).split("\n", maxsplit=1)[0]
        return Finding("database", "problem", f"{shown}: {said}", "start it, or correct GONOGO_DATABASE_URL")
    finally:
        engine.dispose()
    return _schema(shown, found)


def _schema(shown: str, found: str | None) -> Finding:
    from shared.errors import SettingsError
    from shared.store.migrations.upgrade import newest, refuse_newer

    try:
        refuse_newer(found)
    except SettingsError as error:
        return Finding("database", "problem", f"{shown}: {error}", "use the release that made it")
    older = "" if found == newest() else f"; `gonogo migrate`, or `gonogo up`, brings it to {newest()}"
    return Finding("database", "ok", f"{shown}, schema {found or 'unknown'}{older}")
