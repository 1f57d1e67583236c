"""Batches whose times were noted before the machine's clock was set for the first time.

A machine without a battery for its clock starts in 1970 or in the year in which it was made, and learns the time
later. By then, each batch that it has judged is decades old: it would expire, or be purged for its age.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, or_, select, update

from shared.clock import FIRST_MOMENT
from shared.store.engine import clock
from shared.store.tables import Batch

# Each alternative has an index: batches that would be purged, and those that would expire.
_MATTERS = or_(Batch.retain_until < FIRST_MOMENT, Batch.finished_at.is_(None))
_UNDATED = and_(_MATTERS, Batch.created_at < FIRST_MOMENT)
_NOW: ColumnElement[float] = clock()


def _dated(column: ColumnElement[float | None], value: ColumnElement[float]) -> ColumnElement[float | None]:
    return case((column < FIRST_MOMENT, value), else_=column)


_DATE = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"), _UNDATED)
    .values(
        created_at=case((Batch.finished_at >= FIRST_MOMENT, Batch.finished_at), else_=_NOW),
        started_at=_dated(Batch.__table__.c.started_at, _NOW),
        finished_at=_dated(Batch.__table__.c.finished_at, _NOW),
        retain_until=_dated(Batch.__table__.c.retain_until, _NOW + Batch.retention_s),
        # The deadline begins again with the batch.
        deadline_at=_dated(Batch.__table__.c.deadline_at, _NOW + Batch.deadline_at - Batch.created_at),
        version=Batch.version + 1,
    )
)


def undated(connection: Connection, most: int) -> Sequence[str]:
    """At most `most` batches that were made before any clock was right."""
    return connection.scalars(select(Batch.id).where(_UNDATED).limit(most)).all()


def date(connection: Connection, batch_id: str) -> None:
    """Let the times of such a batch be now, by the clock of the database; its retention and deadline begin now."""
    connection.execute(_DATE, {"in_batch": batch_id})
