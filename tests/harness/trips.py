"""Round trips to the database: a test can hold their count, as it could not hold a time."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event


@dataclass
class Trips:
    """Statements sent to the database (a bulk insert or update is one) and transactions committed."""

    statements: int = 0
    commits: int = 0


@contextlib.contextmanager
def counted(engines: Sequence[Engine]) -> Iterator[Trips]:
    """Count what these engines do meanwhile."""
    trips = Trips()

    def statement(*_: Any) -> None:
        trips.statements += 1

    def commit(_: Any) -> None:
        trips.commits += 1

    for engine in engines:
        event.listen(engine, "before_cursor_execute", statement)
        event.listen(engine, "commit", commit)
    try:
        yield trips
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", statement)
            event.remove(engine, "commit", commit)
