"""The installation's id, which its names in a shared broker carry: created once and kept in the database."""

import secrets
from dataclasses import replace

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from shared.settings import Settings
from shared.store.engine import Database
from shared.store.tables import ServiceSecret

_NAME = "installation"


def named(settings: Settings, database: Database) -> Settings:
    """These settings with the installation's id; an id given by GONOGO_INSTALLATION stays."""
    return settings if settings.installation else replace(settings, installation=identify(database))


def identify(database: Database) -> str:
    """The id that this database keeps, whatever the installation is called in the broker."""
    with database.read() as connection:
        known = _read(connection)
    if known is None:
        with database.write() as connection:
            known = _read(connection) or _create(connection)
    return known


def _read(connection: Connection) -> str | None:
    value = connection.scalar(select(ServiceSecret.value).where(ServiceSecret.name == _NAME))
    return None if value is None else value.decode()


def _create(connection: Connection) -> str:
    made = secrets.token_hex(6)
    try:
        with connection.begin_nested():
            connection.execute(insert(ServiceSecret).values(name=_NAME, value=made.encode()))
    except IntegrityError:  # another process was first
        return str(_read(connection))
    return made
