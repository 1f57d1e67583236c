"""Counters of rare events, in the database: they survive restarts and add up over all processes."""

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.store.tables import Event


def count(connection: Connection, name: str, by: int = 1) -> None:
    """Add to a counter, which begins at 0."""
    add = update(Event).where(Event.name == name).values(count=Event.count + by)
    if connection.execute(add).rowcount == 1:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(Event).values(name=name, count=by))
    except IntegrityError:
        connection.execute(add)


def read(connection: Connection, name: str) -> int:
    """A counter's value."""
    return connection.scalar(select(Event.count).where(Event.name == name)) or 0
