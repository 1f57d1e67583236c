"""Bringing a database to the newest revision."""

from pathlib import Path

from sqlalchemy import inspect

from shared.errors import SettingsError
from shared.store.engine import Database

_FOLDER = Path(__file__).parent


def migrate(database: Database) -> None:
    """Run every revision that the database lacks.

    Two processes may do so at once: the writing transaction of SQLite, or an advisory lock of PostgreSQL, makes the
    second wait; it then finds nothing to do. Raises SettingsError for a database of a newer release.
    """
    found = revision(database)
    if found == newest():
        return  # as at almost every start; Alembic takes half a second to import
    refuse_newer(found)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with database.altering() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4704)")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def refuse_newer(found: str | None) -> None:
    """Raise SettingsError for the revision of a newer release: this one would not know its tables."""
    if found is not None and found > newest():
        raise SettingsError(
            f"the database has schema {found}, and this release knows schemas up to {newest()}: start the newer"
            " release again, or restore a backup of before the upgrade"
        )


def newest() -> str:
    """The newest revision, by the name of its file: `r0002_…` is 0002."""
    return max(file.name for file in (_FOLDER / "versions").glob("r*.py"))[1:5]


def revision(database: Database) -> str | None:
    """The revision that a database is at; None where it has no tables yet."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return found
