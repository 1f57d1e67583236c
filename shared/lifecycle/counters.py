"""Counters of rare events, in the database: they survive restarts and add up over all processes."""

from typing import Literal, get_args

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.store.tables import Event

Name = Literal[
    "announced_again",
    "bytes_missing",
    "completed_by_sweep",
    "draft_expired",
    "fenced",
    "lease_expired",
    "miscounted",
    "model_refused",
    "retention_over",
    "store_missing",
    "upload_abandoned",
]
NAMES: tuple[str, ...] = get_args(Name)


def count(connection: Connection, name: Name, by: int = 1) -> None:
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
