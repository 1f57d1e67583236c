"""What becomes of a chunk whose holder is gone: back into the queue, halved, or failed as poison.

The rules of compare-and-set and the order of locks are those of `shared.lifecycle.endings`.
"""

from sqlalchemy import Connection, insert, literal, select, update

from shared.contract.states import ChunkStatus, ItemStatus
from shared.lifecycle import counters
from shared.lifecycle.claims import requeue_items
from shared.store.engine import clock
from shared.store.records import ChunkRecord
from shared.store.tables import Batch, Chunk, Item


def expired_leases(connection: Connection, limit: int) -> list[int]:
    """Ids of chunks whose lease has ended."""
    query = (
        select(Chunk.id)
        .where(Chunk.status == ChunkStatus.LEASED, Chunk.lease_until < clock())
        .order_by(Chunk.lease_until)
        .limit(limit)
    )
    return list(connection.scalars(query))


def end_lease(connection: Connection, chunk_id: int, token: str) -> None:
    """End the lease of a process that is known to be dead, so that its chunk need not wait for the time."""
    connection.execute(
        update(Chunk)
        .where(Chunk.id == chunk_id, Chunk.token == token, Chunk.status == ChunkStatus.LEASED)
        .values(lease_until=literal(0.0))
    )


def return_expired(connection: Connection, chunk_id: int, max_attempts: int) -> str | None:
    """Put a chunk whose lease has ended back into the queue.

    One that has ended `max_attempts` times is halved, each half with one more try, so that a picture that
    kills its worker is found by bisection; alone in its chunk it fails as `poison_image`.
    Returns the batch to complete where that closed an item, else None.
    """
    returned = connection.execute(
        update(Chunk)
        .where(Chunk.id == chunk_id, Chunk.status == ChunkStatus.LEASED, Chunk.lease_until < clock())
        .values(status=ChunkStatus.QUEUED, token=None, lease_until=None, enqueued_at=clock())
        .returning(Chunk.__table__)
    ).first()
    if returned is None:
        return None
    chunk = ChunkRecord._make(returned)
    # Counted here, so that of two sweepers only the one that did it counts.
    counters.count(connection, "lease_expired")
    if chunk.attempts < max_attempts:
        requeue_items(connection, chunk.batch_id, chunk.first_seq, chunk.last_seq)
        return None
    if chunk.first_seq < chunk.last_seq:
        _halve(connection, chunk, max_attempts)
        requeue_items(connection, chunk.batch_id, chunk.first_seq, chunk.last_seq)
        return None
    _fail_poison(connection, chunk)
    return chunk.batch_id


def _halve(connection: Connection, chunk: ChunkRecord, max_attempts: int) -> None:
    middle = (chunk.first_seq + chunk.last_seq) // 2
    connection.execute(
        update(Chunk).where(Chunk.id == chunk.id).values(last_seq=middle, attempts=max_attempts - 1)
    )
    connection.execute(
        insert(Chunk).values(
            batch_id=chunk.batch_id,
            first_seq=middle + 1,
            last_seq=chunk.last_seq,
            pack=chunk.pack,
            lane=chunk.lane,
            status=ChunkStatus.QUEUED,
            attempts=max_attempts - 1,
            enqueued_at=clock(),
        )
    )


def _fail_poison(connection: Connection, chunk: ChunkRecord) -> None:
    connection.execute(update(Chunk).where(Chunk.id == chunk.id).values(status=ChunkStatus.DONE))
    failed = connection.execute(
        update(Item)
        .where(
            Item.batch_id == chunk.batch_id,
            Item.seq == chunk.first_seq,
            Item.status == ItemStatus.PROCESSING,
        )
        .values(
            status=ItemStatus.FAILED,
            error_code="poison_image",
            error_detail=f"the worker died {chunk.attempts} times on this picture",
            finished_at=clock(),
        )
    ).rowcount
    connection.execute(
        update(Batch)
        .where(Batch.id == chunk.batch_id)
        .values(processing=Batch.processing - failed, failed=Batch.failed + failed, version=Batch.version + 1)
    )
