"""A client steers a batch: pause, resume, and retry of its failed items.

Compare-and-set and the order of locks as in `shared.lifecycle.endings`. The queued chunks of a paused batch are held,
so that no worker claims them. A chunk that comes back into the queue of a paused batch is held as well: see
`leases.requeue_items`.
"""

from sqlalchemy import Connection, bindparam, case, null, select, update

from shared.contract.events import PAUSED, RESUMED, RETRIED
from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.lifecycle import events, fetches, pace, parts, telling, turns
from shared.lifecycle.cover import AWAITED, queue_runs
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item

_RUNNING = case((Batch.started_at.is_(None), BatchStatus.QUEUED.value), else_=BatchStatus.PROCESSING.value)
_RELEASE = (
    update(Chunk)
    .where(Chunk.batch_id == bindparam("in_batch"), Chunk.status == ChunkStatus.HELD)
    .values(status=ChunkStatus.QUEUED, enqueued_at=clock(), place=turns.place_at_release())
)
# A batch that no worker began has not run yet: its run begins after the retry.
_IDLE_S = case((Batch.started_at.is_(None), Batch.idle_s), else_=Batch.idle_s + clock() - Batch.finished_at)
_RETRIED = (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED)


def pause(connection: Connection, batch_id: str) -> bool:
    """Hold what no worker has begun; chunks under way keep their verdicts. False where the batch is not running."""
    fetches.hold(connection, batch_id)
    _hold_queued(connection, batch_id)
    changed = connection.execute(
        update(Batch)
        .where(
            Batch.id == batch_id,
            Batch.sealed.is_(True),
            Batch.status.in_([BatchStatus.QUEUED, BatchStatus.PROCESSING]),
        )
        .values(status=BatchStatus.PAUSED, version=Batch.version + 1)
    )
    if changed.rowcount != 1:
        connection.rollback()
        return False
    # A chunk that came back into the queue meanwhile. A worker that is claiming it keeps it: to wait for that worker
    # here, with the batch locked, would be a deadlock.
    _hold_queued(connection, batch_id)
    events.note(connection, batch_id, PAUSED)
    return True


def resume(connection: Connection, batch_id: str) -> int | None:
    """Queue the held chunks of a paused batch; returns how many must be announced. None where it is not paused."""
    fetches.release(connection, batch_id)
    released = release_held(connection, batch_id)
    changed = connection.execute(
        update(Batch)
        .where(Batch.id == batch_id, Batch.status == BatchStatus.PAUSED)
        .values(status=_RUNNING, version=Batch.version + 1, **pace.FORGOTTEN)
    )
    if changed.rowcount != 1:
        connection.rollback()
        return None
    events.note(connection, batch_id, RESUMED)
    return released


def retry(connection: Connection, batch_id: str) -> int | None:
    """Queue the failed items of an ended batch again; returns how many chunks must be announced.

    None where the batch runs, was cancelled, or has no failed item whose bytes are kept or can be fetched again. The
    batch ends a second time, with an event of its own; a deadline that has passed holds no longer.
    """
    telling.reopen(connection, batch_id)
    fetches.again(connection, batch_id)
    items = connection.execute(
        update(Item)
        .where(Item.batch_id == batch_id, Item.status == ItemStatus.FAILED, (Item.length > 0) | AWAITED)
        .values(status=ItemStatus.QUEUED, error_code=None, error_detail=None, finished_at=None)
        .returning(Item.seq, Item.pack, Item.length)
    ).all()
    lane = connection.scalar(
        update(Batch)
        .where(Batch.id == batch_id, Batch.finished_at.is_not(None), Batch.status.in_(_RETRIED))
        .values(
            status=_RUNNING,
            outcome=null(),
            idle_s=_IDLE_S,
            finished_at=null(),
            retain_until=null(),
            deadline_at=null(),
            queued=Batch.queued + len(items),
            failed=Batch.failed - len(items),
            run=Batch.run + 1,
            review_seq=0,
            review_open=True,
            known_seq=0,
            retried_at=clock(),
            version=Batch.version + 1,
            **pace.FORGOTTEN,
        )
        .returning(Batch.lane)
    )
    if lane is None or not items:
        connection.rollback()
        return None
    parts.reopen(connection, batch_id)
    events.note(connection, batch_id, RETRIED)
    stored = sorted((seq, pack) for seq, pack, length in items if length)
    return queue_runs(connection, batch_id, stored, lane)


def release_held(connection: Connection, batch_id: str) -> int:
    """Queue the held chunks of a batch, at the head of the tenant's line; returns how many."""
    return connection.execute(_RELEASE, {"in_batch": batch_id}).rowcount


def _hold_queued(connection: Connection, batch_id: str) -> None:
    queued = (
        select(Chunk.id)
        .where(Chunk.batch_id == batch_id, Chunk.status == ChunkStatus.QUEUED)
        .with_for_update(skip_locked=True)
    )
    connection.execute(update(Chunk).where(Chunk.id.in_(queued)).values(status=ChunkStatus.HELD))


def misplaced(connection: Connection, limit: int) -> list[tuple[str, bool]]:
    """(batch, True) paused with chunks in the queue; (batch, False) running with held chunks. At most `limit`."""
    is_paused = Batch.status == BatchStatus.PAUSED
    wrong = case((is_paused, ChunkStatus.QUEUED.value), else_=ChunkStatus.HELD.value)
    has_wrong = select(Chunk.id).where(Chunk.batch_id == Batch.id, Chunk.status == wrong).exists()
    query = (
        select(Batch.id, is_paused)
        .where(Batch.finished_at.is_(None), Batch.sealed.is_(True), has_wrong)
        .order_by(Batch.id)
        .limit(limit)
    )
    return [(batch_id, bool(paused)) for batch_id, paused in connection.execute(query)]


def place(connection: Connection, batch_id: str) -> int:
    """Hold or queue the chunks of a batch as its status asks; returns how many must be announced."""
    _hold_queued(connection, batch_id)
    status = connection.scalar(select(Batch.status).where(Batch.id == batch_id).with_for_update())
    if status is None or status == BatchStatus.PAUSED:
        return 0
    return release_held(connection, batch_id)
