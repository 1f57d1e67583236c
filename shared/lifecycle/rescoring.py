"""A batch that has ended is rescored: its scores are held against another operating point, without inference.

The items stay as they are: each reader computes the verdict from score, guard and the batch's point
(`shared.lifecycle.judged`). So a rescoring counts the verdicts that change, writes the parts that change with them, and
gives the batch its new point and counters.

The row of the batch is locked first, and its run and revision must be those that the caller has read. So the second of
two rescorings finds another revision, and a retry, which lets other scores come, excludes a rescoring.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, insert, literal_column, select, update

from shared.contract.events import RESCORED
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import Verdict
from shared.lifecycle import events, judged, part_rescoring, review_queue
from shared.lifecycle.part_rescoring import Flip
from shared.store.documents import VerdictCount
from shared.store.engine import clock
from shared.store.records import BatchRecord
from shared.store.rescoring_records import RescoringRecord
from shared.store.tables import Batch, Item, ModelVersion, Rescoring

_BEFORE, _AFTER = judged.BEFORE, judged.AFTER
_CHANGES = (
    select(_BEFORE.label("was"), _AFTER.label("becomes"), func.count())
    .where(Item.batch_id == bindparam("in_batch"), _AFTER.is_distinct_from(_BEFORE))
    .group_by(literal_column("was"), literal_column("becomes"))
)
_LOCK = (
    select(Batch.finished_at, Batch.run, Batch.revision)
    .where(Batch.id == bindparam("in_batch"))
    .with_for_update(key_share=True)
)
# As at a submission: the promise is the model's, and holds at the model's own operating point.
_PROMISED = (
    select(ModelVersion.promised)
    .where(
        ModelVersion.id == Batch.model_id,
        ModelVersion.threshold == bindparam("new_threshold"),
        ModelVersion.review_low == bindparam("new_low"),
        ModelVersion.review_high == bindparam("new_high"),
    )
    .scalar_subquery()
)
_COUNTERS = (*(verdict.value for verdict in Verdict), *(f"{verdict}_parts" for verdict in Verdict))
_COUNT = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        threshold=bindparam("new_threshold"),
        review_low=bindparam("new_low"),
        review_high=bindparam("new_high"),
        promised=_PROMISED,
        revision=Batch.revision + 1,
        version=Batch.version + 1,
        **{name: getattr(Batch, name) + bindparam(f"more_{name}") for name in _COUNTERS},
    )
)
_HISTORY = (
    select(Rescoring.__table__)
    .where(Rescoring.batch_id == bindparam("in_batch"))
    .order_by(Rescoring.revision.desc())
)


class Overtaken(Exception):
    """Another rescoring or a retry has changed the batch since it was read: read it again."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How many items and parts get another verdict, each as [before, after, how many]; and the first such parts."""

    items: list[VerdictCount]
    parts: list[VerdictCount]
    flips: tuple[Flip, ...] = ()


def count(connection: Connection, batch: BatchRecord, point: OperatingPoint) -> Changes:
    """Count what another operating point would change in a batch that has ended. Writes nothing."""
    given = judged.move(batch, point)
    items = _count_items(connection, given)
    if not batch.parts or not items:
        return Changes(items, [])
    parts, flips = part_rescoring.count(connection, batch, given)
    return Changes(items, parts, flips)


def rescore(
    connection: Connection, batch: BatchRecord, point: OperatingPoint, key_id: str | None
) -> tuple[BatchRecord, Changes]:
    """Judge an ended batch by another operating point; returns the batch after that, and the changes.

    Raises Overtaken, after which the caller's transaction must roll back. Safe to repeat: a second call with the same
    record of the batch finds its revision taken.
    """
    row = connection.execute(_LOCK, {"in_batch": batch.id}).first()
    if row is None or row.finished_at is None or (row.run, row.revision) != (batch.run, batch.revision):
        raise Overtaken
    given = judged.move(batch, point)
    changes = Changes(_count_items(connection, given), [])
    if changes.items and batch.parts:
        changes = Changes(changes.items, *part_rescoring.write(connection, batch, given))
    more = {f"more_{verdict}": _growth(changes.items, verdict) for verdict in Verdict}
    more |= {f"more_{verdict}_parts": _growth(changes.parts, verdict) for verdict in Verdict}
    connection.execute(_COUNT, {**given, **more})
    connection.execute(insert(Rescoring).values(_history_of(batch, point, changes, key_id)))
    review_queue.again(connection, batch.id)
    events.note(connection, batch.id, RESCORED)
    return _read(connection, batch.id), changes


def _count_items(connection: Connection, given: dict[str, object]) -> list[VerdictCount]:
    return sorted((row[0], row[1], row[2]) for row in connection.execute(_CHANGES, given))


def history(connection: Connection, batch_id: str) -> list[RescoringRecord]:
    """The rescorings of a batch, the newest first."""
    return [RescoringRecord._make(row) for row in connection.execute(_HISTORY, {"in_batch": batch_id})]


def _read(connection: Connection, batch_id: str) -> BatchRecord:
    return BatchRecord._make(connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one())


def _history_of(
    batch: BatchRecord, point: OperatingPoint, changes: Changes, key_id: str | None
) -> dict[str, object]:
    return {
        "batch_id": batch.id,
        "revision": batch.revision + 1,
        "at": clock(),
        "key_id": key_id,
        "old_threshold": batch.threshold,
        "old_low": batch.review_low,
        "old_high": batch.review_high,
        "threshold": point.threshold,
        "review_low": point.review_low,
        "review_high": point.review_high,
        "items": changes.items,
        "parts": changes.parts,
    }


def _growth(changes: Sequence[VerdictCount], verdict: Verdict) -> int:
    """How many more items or parts have the verdict afterwards."""
    return sum(number * ((after == verdict) - (before == verdict)) for before, after, number in changes)
