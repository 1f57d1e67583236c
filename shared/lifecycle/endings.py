"""How a batch ends, each change by compare-and-set: who loses the race changes nothing and is told so.

The order of locks is chunk, items, batch, here and in `claims` and `leases`: PostgreSQL then never sees a deadlock
of ours.
Statements are built once, since building one costs more than running it.
"""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, delete, insert, select, update

from shared.contract.batches import batch_payload
from shared.contract.events import event_payload
from shared.contract.states import BatchStatus, ChunkStatus, DeliveryStatus, ItemStatus, Outcome
from shared.ids import new_id
from shared.store.engine import clock
from shared.store.records import BatchRecord
from shared.store.tables import Attempt, Batch, Chunk, Delivery, Item, Submission

_EVENTS = {
    BatchStatus.COMPLETED: "batch.completed",
    BatchStatus.FAILED: "batch.failed",
    BatchStatus.CANCELLED: "batch.cancelled",
    BatchStatus.EXPIRED: "batch.expired",
}


@dataclass(frozen=True, slots=True)
class Completed:
    """A batch that ended just now, and the deliveries it owes."""

    deliveries: tuple[str, ...]


_OPEN_ITEMS = Batch.queued + Batch.processing
_COMPLETE = (
    update(Batch)
    .where(
        Batch.id == bindparam("in_batch"),
        Batch.sealed.is_(True),
        Batch.finished_at.is_(None),
        _OPEN_ITEMS == 0,
    )
    .values(
        status=case(
            (Batch.status == BatchStatus.CANCELLING, BatchStatus.CANCELLED),
            (Batch.expired > 0, BatchStatus.EXPIRED),
            (Batch.started_at.is_(None), BatchStatus.FAILED),
            else_=BatchStatus.COMPLETED,
        ),
        outcome=case(
            (Batch.succeeded == Batch.total, Outcome.ALL_SUCCEEDED),
            (Batch.succeeded == 0, Outcome.ALL_FAILED),
            else_=Outcome.PARTIAL,
        ),
        finished_at=clock(),
        retain_until=clock() + Batch.retention_s,
        version=Batch.version + 1,
    )
    .returning(Batch.__table__)
)


def complete(connection: Connection, batch_id: str) -> Completed | None:
    """End a batch that has no open item, and owe its webhook, in one transaction of its own. None where it
    has an open item, or somebody else has ended it.

    It must not share the transaction that recorded the last chunk: the last two workers would each see the
    other's items open, and nobody would complete.
    """
    row = connection.execute(_COMPLETE, {"in_batch": batch_id}).first()
    return None if row is None else Completed(_owe_delivery(connection, BatchRecord._make(row)))


def _owe_delivery(connection: Connection, batch: BatchRecord) -> tuple[str, ...]:
    event = _EVENTS[BatchStatus(batch.status)]
    webhook = batch.webhook
    if not webhook or event not in (webhook.get("events") or [event]):
        return ()
    assert batch.finished_at is not None  # _COMPLETE has set it
    identifier = new_id("whd")
    body = json.dumps(event_payload(event, batch_payload(batch), batch.finished_at), separators=(",", ":"))
    connection.execute(
        insert(Delivery).values(
            id=identifier,
            tenant=batch.tenant,
            batch_id=batch.id,
            event=event,
            url=webhook["url"],
            secret=webhook["secret"],
            body=body,
            status=DeliveryStatus.PENDING,
            attempts=0,
            due_at=clock(),
            created_at=clock(),
        )
    )
    return (identifier,)


def _close_queued(connection: Connection, batch_id: str, as_status: ItemStatus) -> int:
    """Take the queued chunks of a batch out of the queue and give their items a terminal state."""
    connection.execute(
        update(Chunk)
        .where(Chunk.batch_id == batch_id, Chunk.status == ChunkStatus.QUEUED)
        .values(status=ChunkStatus.DONE)
    )
    return connection.execute(
        update(Item)
        .where(Item.batch_id == batch_id, Item.status == ItemStatus.QUEUED)
        .values(status=as_status, finished_at=clock())
    ).rowcount


def cancel(connection: Connection, batch_id: str) -> bool:
    """Cancel what has not begun; chunks under way keep their verdicts. False where the batch has ended.

    The caller asks complete() next, in a transaction of its own.
    """
    closed = _close_queued(connection, batch_id, ItemStatus.CANCELLED)
    changed = connection.execute(
        update(Batch)
        .where(
            Batch.id == batch_id,
            Batch.sealed.is_(True),
            Batch.status.in_([BatchStatus.QUEUED, BatchStatus.PROCESSING, BatchStatus.PAUSED]),
        )
        .values(
            status=BatchStatus.CANCELLING,
            queued=Batch.queued - closed,
            cancelled=Batch.cancelled + closed,
            version=Batch.version + 1,
        )
    )
    if changed.rowcount != 1:
        connection.rollback()
        return False
    return True


def expire(connection: Connection, batch_id: str) -> bool:
    """Close the queued items of a batch whose deadline has passed; the caller asks complete() next."""
    closed = _close_queued(connection, batch_id, ItemStatus.EXPIRED)
    changed = connection.execute(
        update(Batch)
        .where(
            Batch.id == batch_id, Batch.finished_at.is_(None), Batch.deadline_at < clock(), Batch.queued > 0
        )
        .values(queued=Batch.queued - closed, expired=Batch.expired + closed, version=Batch.version + 1)
    )
    if changed.rowcount != 1:
        connection.rollback()
        return False
    return True


def purge(connection: Connection, batch_id: str) -> bool:
    """Delete the rows of a batch that has ended, or whose upload was abandoned; its bytes go after the commit."""
    connection.execute(delete(Chunk).where(Chunk.batch_id == batch_id))
    connection.execute(delete(Item).where(Item.batch_id == batch_id))
    connection.execute(
        delete(Attempt).where(
            Attempt.delivery_id.in_(select(Delivery.id).where(Delivery.batch_id == batch_id))
        )
    )
    connection.execute(delete(Delivery).where(Delivery.batch_id == batch_id))
    connection.execute(delete(Submission).where(Submission.batch_id == batch_id))
    gone = connection.execute(
        delete(Batch).where(
            Batch.id == batch_id, (Batch.finished_at.is_not(None)) | (Batch.sealed.is_(False))
        )
    )
    if gone.rowcount != 1:
        connection.rollback()
        return False
    return True
