"""Events that are told from rows, by one process at a time: of items, of progress, and of a high share of defects.

The transaction that records verdicts pays nothing for them. A batch that has a listener when it is sealed gets a row,
its telling. A process of the role `webhooks` locks it, reads the chunks that are done, inserts the deliveries and moves
`Chunk.told`, in one transaction: each verdict is told once, whichever process dies.

Locks are taken in the order telling, chunks, batch. A transaction that locks a telling and a batch locks the telling
first.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, false, insert, or_, select, update

from shared.contract.batches import batch_payload
from shared.contract.events import (
    DEFECT_RATE_EXCEEDED,
    PROGRESS,
    TOLD_EVENTS,
    DefectRateAlert,
)
from shared.lifecycle import events, told_items
from shared.store.engine import database_time
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Telling
from shared.webhooks import owed, receivers
from shared.webhooks.owed import Event

PROGRESS_EVERY_S = 10.0

_BEGIN = insert(Telling).from_select(
    ["batch_id", "tenant", "done", "alerted", "told_version", "alert_share", "alert_after"],
    select(
        Batch.id,
        Batch.tenant,
        false(),
        false(),
        Batch.version,
        bindparam("share"),
        bindparam("after"),
    ).where(
        Batch.id == bindparam("in_batch"),
        or_(bindparam("is_named"), receivers.listening(Batch.tenant, *TOLD_EVENTS)),
    ),
)
_REOPEN = update(Telling).where(Telling.batch_id == bindparam("in_batch")).values(done=False)
_OPEN = select(Telling.batch_id).where(Telling.done == false()).order_by(Telling.batch_id)
_LOCK = (
    select(Telling.__table__)
    .where(Telling.batch_id == bindparam("in_batch"), Telling.done == false())
    .with_for_update(skip_locked=True)
)
_LOCK_WAITING = (
    select(Telling.__table__)
    .where(Telling.batch_id == bindparam("in_batch"), Telling.done == false())
    .with_for_update()
)
_BATCH = select(Batch.__table__).where(Batch.id == bindparam("in_batch"))
_SAVE = (
    update(Telling)
    .where(Telling.batch_id == bindparam("in_batch"))
    .values(
        done=bindparam("is_done"),
        alerted=bindparam("is_alerted"),
        told_at=bindparam("at"),
        told_version=bindparam("version"),
    )
)


class Told(NamedTuple):
    """The deliveries that are owed now, and whether there is more to tell at once."""

    deliveries: tuple[str, ...] = ()
    more: bool = False


def begin(connection: Connection, batch: BatchRecord, alert: DefectRateAlert | None = None) -> None:
    """Tell of a batch from now on, if anybody listens; in the transaction that shows it."""
    if batch.origin == "predict":
        return  # its answer tells
    is_named = any(receivers.batch_wants(batch, event) for event in TOLD_EVENTS)
    share, after = (alert["share"], alert["after"]) if alert else (None, None)
    connection.execute(
        _BEGIN,
        {"in_batch": batch.id, "is_named": is_named or alert is not None, "share": share, "after": after},
    )


def reopen(connection: Connection, batch_id: str) -> None:
    """Go on with the telling of a batch that is retried. Call it before the batch is locked."""
    connection.execute(_REOPEN, {"in_batch": batch_id})


def open_tellings(connection: Connection) -> Sequence[str]:
    """The batches of which something may be left to tell."""
    return list(connection.scalars(_OPEN))


def tell(connection: Connection, batch_id: str, base: str = "", *, waits: bool = False) -> Told:
    """Tell what there is to tell of a batch now. Nothing where it has been told.

    `base` is the service's URL, with which links begin. While another process tells of the batch, this one waits, or
    tells nothing.
    """
    telling = connection.execute(_LOCK_WAITING if waits else _LOCK, {"in_batch": batch_id}).first()
    row = connection.execute(_BATCH, {"in_batch": batch_id}).first()
    if telling is None or row is None:
        return Told()
    # The batch was read before its chunks: if it has ended, each of them is done.
    batch, now = BatchRecord._make(row), database_time(connection)
    has_ended = batch.finished_at is not None
    deliveries, left, more = told_items.tell(connection, batch, now)
    is_alerted = telling.alerted
    if not is_alerted and _exceeds(batch, telling.alert_share, telling.alert_after):
        is_alerted = True
        events.note_next(connection, batch_id, DEFECT_RATE_EXCEEDED)
        deliveries += _owe_batch(connection, batch, DEFECT_RATE_EXCEEDED, now, base)
    at, version = telling.told_at, telling.told_version
    if not has_ended and batch.version != version and now - (at or 0.0) >= PROGRESS_EVERY_S:
        at, version = now, batch.version
        deliveries += _owe_batch(connection, batch, PROGRESS, now, base)
    is_done = has_ended and not left
    if (is_done, is_alerted, at) != (telling.done, telling.alerted, telling.told_at):
        saved = {"is_done": is_done, "is_alerted": is_alerted, "at": at, "version": version}
        connection.execute(_SAVE, {"in_batch": batch_id, **saved})
    return Told(deliveries, more)


def _exceeds(batch: BatchRecord, share: float | None, after: int | None) -> bool:
    judged = batch.defect + batch.no_defect + batch.review
    return share is not None and judged >= (after or 1) and batch.defect > share * judged


def _owe_batch(
    connection: Connection, batch: BatchRecord, name: str, at: float, base: str
) -> tuple[str, ...]:
    to = receivers.of(connection, batch.tenant, name, batch)
    if not to:
        return ()
    data = batch_payload(batch, model=owed.model_of(connection, batch), base=base, at=at)
    subject = str(batch.version) if name == PROGRESS else ""
    event = Event(name, data, at, subject, receivers.content_of(batch))
    return owed.owe(connection, to, [event], batch.tenant, batch)
