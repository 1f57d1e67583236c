"""GONOGO_DATABASE_URL: a file of SQLite or a PostgreSQL server."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from shared.errors import SettingsError

POOLED = "pgbouncer"  # an option of the URL, ours alone
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",  # as some platforms write it
}


def read_url(url: str) -> URL:
    """The URL of a database file or server; raises SettingsError, without the password, for any other."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their text may hold the password
        raise SettingsError(
            "GONOGO_DATABASE_URL cannot be read: write postgresql://user:password@host/name or sqlite:////path, and"
            " in a user or password @ as %40, / as %2F, and so on"
        ) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise SettingsError(
            f"GONOGO_DATABASE_URL must be sqlite:/// or postgresql://, not {parsed.drivername}://…"
        )
    if driver == "sqlite" and (not parsed.database or ":memory:" in parsed.database or "uri" in parsed.query):
        raise SettingsError(
            "GONOGO_DATABASE_URL: SQLite needs a file that all processes open: write sqlite:////absolute/path"
        )
    if driver == "sqlite" and (unknown := set(parsed.query) - {POOLED}):
        raise SettingsError(
            f"GONOGO_DATABASE_URL: SQLite knows no option {min(unknown)!r}; in a path, write ? as %3F"
        )
    return parsed.set(drivername=driver)
