"""Queued items close without a verdict: by a client's cancel, a failed item or the batch's deadline.

Compare-and-set and the order of locks as in `shared.lifecycle.endings`.
"""

from sqlalchemy import Connection, select, update

from shared.contract.events import CANCELLING
from shared.contract.marks import ABORTED, BatchWarning
from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.lifecycle import events, fetches, parts
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item


def cancel(connection: Connection, batch_id: str) -> bool:
    """Cancel the queued items; chunks under way keep their verdicts. False where no item is open.

    The caller calls endings.end() next.
    """
    cancelled = _cancel(connection, batch_id)
    if cancelled:
        events.note(connection, batch_id, CANCELLING)
    return cancelled


def _cancel(connection: Connection, batch_id: str) -> bool:
    closed = _close_queued(connection, batch_id, ItemStatus.CANCELLED)
    changed = connection.execute(
        update(Batch)
        .where(
            Batch.id == batch_id,
            Batch.sealed.is_(True),
            Batch.status.in_([BatchStatus.QUEUED, BatchStatus.PROCESSING, BatchStatus.PAUSED]),
            Batch.queued + Batch.processing > 0,  # with none, it is about to complete
        )
        .values(
            status=BatchStatus.CANCELLING,
            queued=Batch.queued - closed,
            cancelled=Batch.cancelled + closed,
            version=Batch.version + 1,
        )
    )
    return _settle(connection, batch_id, changed.rowcount)


def abort(connection: Connection, batch_id: str) -> bool:
    """Cancel for the first failed item of a batch whose `on_error` is abort, and say so in its warnings.

    False where the batch has ended, or was cancelled before. The caller calls endings.end() next.
    """
    if not _cancel(connection, batch_id):
        return False
    # _cancel() holds the lock of the batch's row, so no other transaction changes the warnings in between.
    warnings = connection.scalar(select(Batch.warnings).where(Batch.id == batch_id))
    name, code = connection.execute(
        select(Item.filename, Item.error_code)
        .where(Item.batch_id == batch_id, Item.status == ItemStatus.FAILED)
        .order_by(Item.finished_at, Item.seq)
        .limit(1)
    ).one()
    detail = f"failed with {code}, and on_error is abort: the items that had not begun were cancelled"
    why = BatchWarning(code=ABORTED, filename=name, detail=detail)
    connection.execute(update(Batch).where(Batch.id == batch_id).values(warnings=[why, *(warnings or [])]))
    events.note(connection, batch_id, CANCELLING)
    return True


def expire(connection: Connection, batch_id: str) -> bool:
    """Expire the queued items of a batch whose deadline has passed; the caller calls endings.end() next."""
    closed = _close_queued(connection, batch_id, ItemStatus.EXPIRED)
    changed = connection.execute(
        update(Batch)
        .where(
            Batch.id == batch_id,
            Batch.sealed.is_(True),
            Batch.finished_at.is_(None),
            Batch.deadline_at < clock(),
            Batch.queued > 0,
        )
        .values(queued=Batch.queued - closed, expired=Batch.expired + closed, version=Batch.version + 1)
    )
    return _settle(connection, batch_id, changed.rowcount)


def _close_queued(connection: Connection, batch_id: str, as_status: ItemStatus) -> int:
    """Take the queued and held chunks of a batch out of the queue and give their items a terminal status."""
    fetches.drop(connection, batch_id)
    connection.execute(
        update(Chunk)
        .where(Chunk.batch_id == batch_id, Chunk.status.in_([ChunkStatus.QUEUED, ChunkStatus.HELD]))
        .values(status=ChunkStatus.DONE)
    )
    return connection.execute(
        update(Item)
        .where(Item.batch_id == batch_id, Item.status == ItemStatus.QUEUED)
        .values(status=as_status, finished_at=clock())
    ).rowcount


def _settle(connection: Connection, batch_id: str, changed: int) -> bool:
    """End the parts that have no open item left; the sweep sends the deliveries that are owed for them.

    Undo the closing of the items where the batch did not allow it: the batch is locked after the items, so it answers
    after them.
    """
    if changed != 1:
        connection.rollback()
        return False
    parts.complete(connection, batch_id)
    return True
