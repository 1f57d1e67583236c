"""Bringing a database to the newest revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from shared.db import Database


def migrate(database: Database) -> None:
    """Run every revision that the database lacks. Two processes may do so at once: on SQLite the writing
    transaction, on PostgreSQL an advisory lock makes the second wait and then find nothing to do."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with database.write() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4704)")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
