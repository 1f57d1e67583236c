"""Events of a batch: each is written in the transaction that changes the batch's state.

The caller has changed the batch's row before and holds its lock. The id of an event is the version that the batch has
then, so the events of a batch become visible in the order of their ids, on PostgreSQL too: an automatic number would be
taken before the commit, and a reader could see number 8 before number 7.

The image of POST /v1/predict makes one event, for its end: three rows for an image would cost too much.
"""

from sqlalchemy import (
    Connection,
    Insert,
    String,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from shared.contract.events import CREATED, STARTED
from shared.contract.states import BatchStatus
from shared.store.engine import clock
from shared.store.records import BatchEventRecord, BatchRecord
from shared.store.tables import Batch, BatchEvent

# The columns of the batch that its changes move; the others are as they were at its submission.
_MOVED = tuple(
    name for name in BatchEventRecord._fields if name in BatchRecord._fields and name != "warnings"
)
# The marks of the ETA: they are of now, and tell nothing of an earlier moment.
_PACE = ("pace_at", "pace_done", "mark_at", "mark_done")
_END_OF_BATCH = literal("batch.", String) + Batch.status


def _note(kind: object, *conditions: object) -> Insert:
    columns = ["batch_id", "seq", "type", "at", "warnings", *_MOVED]
    row = select(
        Batch.id,
        Batch.version,
        kind,  # type: ignore[call-overload]
        clock(),
        func.json_array_length(Batch.warnings),
        *(Batch.__table__.columns[name] for name in _MOVED),
    )
    shown = or_(Batch.origin != "predict", Batch.finished_at.is_not(None))
    return insert(BatchEvent).from_select(
        columns, row.where(Batch.id == bindparam("in_batch"), shown, *conditions)
    )


_NOTE = _note(cast(bindparam("kind"), String))
_NOTE_END = _note(_END_OF_BATCH)
_NOTE_START = _note(
    literal(STARTED, String),
    # Work may begin while the upload goes on. The batch does not show before its seal, so note_created() tells of it.
    or_(Batch.sealed.is_(True), Batch.status == BatchStatus.DRAFT),
    ~exists().where(BatchEvent.batch_id == bindparam("in_batch"), BatchEvent.type == STARTED),
)
_NEXT_VERSION = update(Batch).where(Batch.id == bindparam("in_batch")).values(version=Batch.version + 1)
_LATER = (
    select(BatchEvent.__table__)
    .where(BatchEvent.batch_id == bindparam("in_batch"), BatchEvent.seq > bindparam("last"))
    .order_by(BatchEvent.seq)
    .limit(bindparam("most"))
)
_NEWEST = (
    select(BatchEvent.__table__)
    .where(BatchEvent.batch_id == bindparam("in_batch"))
    .order_by(BatchEvent.seq.desc())
    .limit(bindparam("most"))
)


def note(connection: Connection, batch_id: str, kind: str) -> None:
    """Write an event of a batch, as the batch stands now."""
    connection.execute(_NOTE, {"in_batch": batch_id, "kind": kind})


def note_created(connection: Connection, batch_id: str, *, has_begun: bool) -> None:
    """The batch shows from now on. `has_begun`: workers have claimed images of it before."""
    note(connection, batch_id, CREATED)
    if has_begun:
        connection.execute(_NEXT_VERSION, {"in_batch": batch_id})
        note_start(connection, batch_id)


def note_next(connection: Connection, batch_id: str, kind: str) -> None:
    """Write an event of a batch that changes nothing else of it."""
    connection.execute(_NEXT_VERSION, {"in_batch": batch_id})
    note(connection, batch_id, kind)


def note_start(connection: Connection, batch_id: str) -> None:
    """A worker has claimed images of the batch. Writes nothing where the batch has such an event."""
    connection.execute(_NOTE_START, {"in_batch": batch_id})


def note_end(connection: Connection, batch_id: str) -> None:
    """The batch has ended; its status names the event."""
    connection.execute(_NOTE_END, {"in_batch": batch_id})


def later(connection: Connection, batch_id: str, last: int, most: int) -> list[BatchEventRecord]:
    """The first `most` events after `last`, in their order."""
    rows = connection.execute(_LATER, {"in_batch": batch_id, "last": last, "most": most})
    return [BatchEventRecord._make(row) for row in rows]


def newest(connection: Connection, batch_id: str, most: int) -> list[BatchEventRecord]:
    """The newest `most` events, in their order."""
    rows = connection.execute(_NEWEST, {"in_batch": batch_id, "most": most})
    return [BatchEventRecord._make(row) for row in rows][::-1]


def then(batch: BatchRecord, event: BatchEventRecord) -> BatchRecord:
    """The batch as it stood at an event."""
    moved = {name: getattr(event, name) for name in _MOVED}
    if event.seq != batch.version:
        moved |= {name: None if name.endswith("_at") else 0 for name in _PACE}
    warnings = batch.warnings[max(0, len(batch.warnings) - event.warnings) :]
    return batch._replace(version=event.seq, warnings=warnings, **moved)
