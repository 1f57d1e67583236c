"""Polls of a running batch: each answer must add up, and the counters must equal the rows at every moment."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from shared.contract.states import ItemStatus, Verdict
from shared.lifecycle import judged, judged_parts
from shared.store.engine import Database
from shared.store.tables import Batch, Item, Part
from tests.harness.stack import Stack


def _items(*conditions: Any) -> Any:
    query = select(func.count()).select_from(Item).where(Item.batch_id == Batch.id, *conditions)
    return query.correlate(Batch).scalar_subquery()


def _parts(*conditions: Any) -> Any:
    query = select(func.count()).select_from(Part).where(Part.batch_id == Batch.id, *conditions)
    return query.correlate(Batch).scalar_subquery()


# A statement sees one state of the database: each counter and the rows that it counts are of the same moment.
_COUNTED = {
    "total": _items(),
    **{status.value: _items(Item.status == status) for status in ItemStatus},
    **{verdict.value: _items(judged.NOW.in_([verdict])) for verdict in Verdict},
    "parts": _parts(),
    **{f"{verdict}_parts": _parts(judged_parts.NOW.in_([verdict])) for verdict in Verdict},
}
_LOOK = select(
    *(getattr(Batch, name) for name in _COUNTED),
    *(count.label(f"{name}_rows") for name, count in _COUNTED.items()),
)


@dataclass
class Polls:
    """The polls of a batch so far, and what was wrong in them."""

    made: int = 0
    midway: int = 0  # while some items were open and some were not
    states: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def see(self, batch: dict[str, Any]) -> None:
        """An answer of GET /v1/batches/{id}."""
        counts, verdicts, parts = dict(batch["counts"]), batch["verdicts"], batch["parts"]
        total = counts.pop("total")
        open_items = counts["queued"] + counts["processing"]
        decided = parts["defect"] + parts["no_defect"] + parts["review"]
        wrong = {
            "counts": total != sum(counts.values()),
            "verdicts": sum(verdicts.values()) != counts["succeeded"],
            "parts": decided > parts["total"] or (open_items == 0 and decided != parts["total"]),
            "progress": abs(batch["progress"] - (total - open_items) / total) > 0.0001,
        }
        self.faults += [f"{name} of {batch}" for name, is_wrong in wrong.items() if is_wrong]
        self.states.add(batch["status"])
        self.made += 1
        self.midway += 0 < open_items < total

    def look(self, database: Database, batch_id: str) -> None:
        """Hold the counters against the rows."""
        with database.read() as connection:
            row = connection.execute(_LOOK.where(Batch.id == batch_id)).one()._mapping
        self.faults += [
            f"{name} is {row[name]}, rows are {row[f'{name}_rows']}"
            for name in _COUNTED
            if row[name] != row[f"{name}_rows"]
        ]


@contextmanager
def polling(stack: Stack, batch_id: str) -> Iterator[Polls]:
    """Poll the batch all the while; the caller looks at the polls afterwards."""
    polls, stop, database = Polls(), threading.Event(), stack.database

    def run() -> None:
        while not stop.wait(0.02):
            status, body = stack.get(f"/v1/batches/{batch_id}")
            if status != 200:
                polls.faults.append(f"{status} {body}")
                return
            polls.see(body)
            if polls.made % 5 == 0:
                polls.look(database, batch_id)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield polls
    finally:
        stop.set()
        thread.join()
        database.dispose()
