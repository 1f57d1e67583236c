"""Row locks that transactions take, held against the order that shared.lifecycle.endings states."""

import re
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from shared.store.engine import Database

_ORDER = ("tellings", "chunks", "items", "batches", "parts")
# Functions that lock against the order: the ends of a fetch, which tests call in the transaction of its claim, where
# the product has a transaction for each.
KNOWN = frozenset({"give_up", "store"})
_WRITE = re.compile(r"\b(?:UPDATE|DELETE FROM) (\w+)")
_LOCK = re.compile(r"\bFROM (\w+)\b(?!.*\bFROM\b).*\bFOR (?:NO KEY )?UPDATE")
_LOCK_OF = re.compile(r"\bFOR (?:NO KEY )?UPDATE OF (\w+)")


def locked_by(statement: str) -> list[str]:
    """The tables whose rows a statement locks, of those that have a place in the order."""
    text = " ".join(statement.split())
    found = [*(_LOCK_OF.findall(text) or _LOCK.findall(text)), *_WRITE.findall(text)]
    return [table for table in found if table in _ORDER]


@contextmanager
def lock_order(database: Database, known: frozenset[str] = KNOWN) -> Iterator[list[str]]:
    """Lists the tables that transactions locked too late, while it lasts."""
    held, faults = defaultdict[int, list[str]](list), list[str]()

    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        mine = held[id(connection.connection.dbapi_connection)]
        for table in locked_by(statement):
            later = [other for other in mine if _ORDER.index(other) > _ORDER.index(table)]
            if table not in mine and later:
                frames = [frame.name for frame in traceback.extract_stack() if "/shared/" in frame.filename]
                if frames and not known & {*frames}:
                    faults.append(f"{frames[-1]} locks {table} after {', '.join(later)}")
            mine += [] if table in mine else [table]

    def forget(connection: Any) -> None:
        held.pop(id(connection.connection.dbapi_connection), None)

    listened: list[tuple[str, Callable[..., None]]] = [
        ("before_cursor_execute", note),
        ("begin", forget),
        ("commit", forget),
        ("rollback", forget),
    ]
    for name, listener in listened:
        event.listen(database.engine, name, listener)
    try:
        yield faults
    finally:
        for name, listener in listened:
            event.remove(database.engine, name, listener)
