"""How many items two ended batches judge in which ways: counted once, and kept for the next reading.

A million pairs take a database seconds, so a page asks for the counts, and the sweep counts them. They hold for one
state of both batches: a retry or a rescoring changes it.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from shared.contract.reruns import DiffCount
from shared.lifecycle import reruns
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import Batch, DiffCounts

_OF_PAIR = and_(DiffCounts.a == bindparam("of_a"), DiffCounts.b == bindparam("of_b"))
_KEPT = select(DiffCounts.state, DiffCounts.counts).where(_OF_PAIR)
_KEEP = (
    update(DiffCounts).where(_OF_PAIR).values(state=bindparam("new_state"), counts=bindparam("new_counts"))
)
_ASKED = (
    select(DiffCounts.a, DiffCounts.b)
    .where(DiffCounts.counts.is_(None))
    .order_by(DiffCounts.a, DiffCounts.b)
    .limit(bindparam("most"))
)
_BATCHES = select(Batch.__table__).where(Batch.id.in_([bindparam("of_a"), bindparam("of_b")]))
_NOT_YET = ""  # the state of a pair that was never counted


def kept(connection: Connection, a: BatchRecord, b: BatchRecord) -> list[DiffCount] | None:
    """The counts of two batches as they stand now, if they were counted before."""
    row = connection.execute(_KEPT, _pair(a.id, b.id)).first()
    if row is None or row.counts is None or row.state != _state(a, b):
        return None
    return _turned(row.counts, a, b)


def ask(database: Database, a: BatchRecord, b: BatchRecord) -> None:
    """Let the sweep count two ended batches. Safe to repeat."""
    pair = _pair(a.id, b.id)
    with database.read() as connection:
        row = connection.execute(_KEPT, pair).first()
    if row is not None and row.counts is None:
        return
    try:
        with database.write() as connection:
            if row is not None:
                connection.execute(_KEEP, {**pair, "new_state": _NOT_YET, "new_counts": None})
            else:
                given = {"a": pair["of_a"], "b": pair["of_b"], "state": _NOT_YET, "counts": None}
                connection.execute(insert(DiffCounts).values(given))
    except IntegrityError:
        pass  # another request has asked meanwhile


def asked(connection: Connection, most: int) -> Sequence[tuple[str, str]]:
    """Pairs of batches whose counts a page waits for."""
    return [(row.a, row.b) for row in connection.execute(_ASKED, {"most": most})]


def count(database: Database, a: str, b: str) -> list[DiffCount] | None:
    """Count two batches, and keep it where a page has asked for it; None where one runs, is gone, or changed meanwhile.

    The row of a pair of which a batch is gone goes too: a page may have asked while the batch was deleted.
    """
    with database.read() as connection:
        before = _ended(connection, a, b)
        if before is None:
            counts = None
        else:
            counts = reruns.matrix(connection, before[0], before[1])
            if _ended(connection, a, b) != before:
                counts = None
    with database.write() as connection:
        if before is None or counts is None:
            _drop(connection, a, b)
            return None
        first, second = before
        given = {"new_state": _state(first, second), "new_counts": _turned(counts, first, second)}
        connection.execute(_KEEP, {**_pair(a, b), **given})
    return counts


def forget(connection: Connection, batch_id: str) -> None:
    """Drop the counts of a batch that is deleted."""
    connection.execute(delete(DiffCounts).where(or_(DiffCounts.a == batch_id, DiffCounts.b == batch_id)))


def _drop(connection: Connection, a: str, b: str) -> None:
    connection.execute(delete(DiffCounts).where(_OF_PAIR), _pair(a, b))


def _ended(connection: Connection, a: str, b: str) -> tuple[BatchRecord, BatchRecord] | None:
    rows = [BatchRecord._make(row) for row in connection.execute(_BATCHES, _pair(a, b))]
    found = {row.id: row for row in rows if row.finished_at is not None}
    return (found[a], found[b]) if {a, b} <= found.keys() else None


def _pair(a: str, b: str) -> dict[str, object]:
    return {"of_a": min(a, b), "of_b": max(a, b)}


def _state(a: BatchRecord, b: BatchRecord) -> str:
    first, second = sorted((a, b), key=lambda each: each.id)
    return f"{first.run}.{first.revision} {second.run}.{second.revision}"


def _turned(counts: list[DiffCount], a: BatchRecord, b: BatchRecord) -> list[DiffCount]:
    """The counts as a row keeps them, from the batch whose id comes first; or those of a row, as asked for."""
    if a.id <= b.id:
        return counts
    return [{"before": each["after"], "after": each["before"], "count": each["count"]} for each in counts]
