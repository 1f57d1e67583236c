"""A batch that has ended is rescored: its scores are held against another operating point, without inference.

Three statements over the items, in the database: count the changes, write them, and end the parts again. The rows that
keep their verdict are not written, since a million of them would take PostgreSQL ten times as long.

The row of the rescoring is inserted before the items are locked. Its key is the batch and the next revision, so the
second of two rescorings waits for the first and then finds the key taken. A retry, which lets other scores come, makes
the compare-and-set of the batch's row fail: status, run and revision must be those that were counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from shared.contract.events import RESCORED
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import Verdict
from shared.lifecycle import events, part_rescoring, review_queue
from shared.lifecycle.judged import REASONS, VERDICT
from shared.lifecycle.part_rescoring import Flip
from shared.store.documents import VerdictCount
from shared.store.engine import clock
from shared.store.records import BatchRecord
from shared.store.rescoring_records import RescoringRecord
from shared.store.tables import Batch, Item, ModelVersion, Rescoring

# Only a score between the lowest and the highest of all bounds, old and new, can get another verdict.
TOUCHED = and_(
    Item.batch_id == bindparam("in_batch"), Item.score.between(bindparam("from_score"), bindparam("to_score"))
)
_CHANGES = (
    select(Item.verdict, VERDICT, func.count())
    .where(TOUCHED, VERDICT.is_distinct_from(Item.verdict))
    .group_by(Item.verdict, VERDICT)
)
_WRITE = (
    update(Item)
    .where(TOUCHED, or_(VERDICT.is_distinct_from(Item.verdict), REASONS.is_distinct_from(Item.reasons)))
    .values(verdict=VERDICT, reasons=REASONS)
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
_COUNT = (
    update(Batch)
    .where(
        Batch.id == bindparam("in_batch"),
        Batch.finished_at.is_not(None),
        Batch.run == bindparam("of_run"),
        Batch.revision == bindparam("of_revision"),
    )
    .values(
        threshold=bindparam("new_threshold"),
        review_low=bindparam("new_low"),
        review_high=bindparam("new_high"),
        promised=_PROMISED,
        revision=Batch.revision + 1,
        version=Batch.version + 1,
        **{verdict.value: getattr(Batch, verdict) + bindparam(f"more_{verdict}") for verdict in Verdict},
    )
    .returning(Batch.__table__)
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
    given = _parameters(batch, point)
    items = [(row[0], row[1], row[2]) for row in connection.execute(_CHANGES, given)]
    if not batch.parts or not items:
        return Changes(sorted(items), [])
    parts, flips = part_rescoring.count(connection, batch, given)
    return Changes(sorted(items), parts, flips)


def rescore(
    connection: Connection, batch: BatchRecord, point: OperatingPoint, key_id: str | None
) -> tuple[BatchRecord, Changes]:
    """Judge an ended batch by another operating point; returns the batch after that, and the changes.

    Raises Overtaken, after which the caller's transaction must roll back. Safe to repeat: a second call with the same
    record of the batch finds its revision taken.
    """
    changes, given = count(connection, batch, point), _parameters(batch, point)
    _keep(connection, batch, point, changes, key_id)
    connection.execute(_WRITE, given)
    more = {f"more_{verdict}": _growth(changes.items, verdict) for verdict in Verdict}
    guarded = {"of_run": batch.run, "of_revision": batch.revision}
    row = connection.execute(_COUNT, {**given, **more, **guarded}).first()
    if row is None:
        raise Overtaken
    review_queue.again(connection, batch.id)
    if changes.items and batch.parts:
        part_rescoring.write(connection, batch, given)
    events.note(connection, batch.id, RESCORED)
    return _read(connection, batch.id), changes


def history(connection: Connection, batch_id: str) -> list[RescoringRecord]:
    """The rescorings of a batch, the newest first."""
    return [RescoringRecord._make(row) for row in connection.execute(_HISTORY, {"in_batch": batch_id})]


def _read(connection: Connection, batch_id: str) -> BatchRecord:
    return BatchRecord._make(connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one())


def _keep(
    connection: Connection, batch: BatchRecord, point: OperatingPoint, changes: Changes, key_id: str | None
) -> None:
    row = {
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
    try:
        connection.execute(insert(Rescoring).values(row))
    except IntegrityError as error:
        raise Overtaken from error


def _parameters(batch: BatchRecord, point: OperatingPoint) -> dict[str, object]:
    bounds = (
        batch.threshold, batch.review_low, batch.review_high, point.threshold, point.review_low, point.review_high
    )  # fmt: skip
    return {
        "in_batch": batch.id,
        "from_score": min(bounds),
        "to_score": max(bounds),
        "new_threshold": point.threshold,
        "new_low": point.review_low,
        "new_high": point.review_high,
    }


def _growth(changes: Sequence[VerdictCount], verdict: Verdict) -> int:
    """How many more items have the verdict afterwards."""
    return sum(number * ((after == verdict) - (before == verdict)) for before, after, number in changes)
