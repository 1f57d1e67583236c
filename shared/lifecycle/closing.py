"""Queued items close without a verdict: cancelled by a client, or expired by the batch's deadline.

Compare-and-set and the order of locks as in `shared.lifecycle.endings`.
"""

from sqlalchemy import Connection, update

from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item


def cancel(connection: Connection, batch_id: str) -> bool:
    """Cancel the queued items; chunks under way keep their verdicts. False where the batch has ended.

    The caller calls endings.end() next.
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
    return _settle(connection, changed.rowcount)


def expire(connection: Connection, batch_id: str) -> bool:
    """Expire the queued items of a batch whose deadline has passed; the caller calls endings.end() next."""
    closed = _close_queued(connection, batch_id, ItemStatus.EXPIRED)
    changed = connection.execute(
        update(Batch)
        .where(
            Batch.id == batch_id, Batch.finished_at.is_(None), Batch.deadline_at < clock(), Batch.queued > 0
        )
        .values(queued=Batch.queued - closed, expired=Batch.expired + closed, version=Batch.version + 1)
    )
    return _settle(connection, changed.rowcount)


def _close_queued(connection: Connection, batch_id: str, as_status: ItemStatus) -> int:
    """Take the queued chunks of a batch out of the queue and give their items a terminal status."""
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


def _settle(connection: Connection, changed: int) -> bool:
    """Undo the closing of the items where the batch did not allow it: the batch is locked last, so it answers last."""
    if changed != 1:
        connection.rollback()
        return False
    return True
