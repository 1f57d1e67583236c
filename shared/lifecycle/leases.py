"""Leases: renewed by their holder, handed back, or ended, which returns, halves or fails the chunk.

Compare-and-set and the order of locks as in `shared.lifecycle.endings`.
"""

from sqlalchemy import Connection, and_, bindparam, insert, literal, update

from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.lifecycle import blocked, counters, parts
from shared.lifecycle.claims import Claim
from shared.store import tallies
from shared.store.engine import clock
from shared.store.records import ChunkRecord
from shared.store.tables import Batch, Chunk, Item

# The fence: a holder whose lease was taken over has another token, and changes nothing.
HELD = and_(
    Chunk.id == bindparam("chunk"), Chunk.token == bindparam("by_token"), Chunk.status == ChunkStatus.LEASED
)
_RENEW = update(Chunk).where(HELD).values(lease_until=clock() + bindparam("lease_s"))


def renew(connection: Connection, chunk_id: int, token: str, lease_s: float) -> bool:
    """Prolong a lease; False where the token no longer holds it."""
    done = connection.execute(_RENEW, {"chunk": chunk_id, "by_token": token, "lease_s": lease_s})
    return done.rowcount == 1


def release(
    connection: Connection, held: Claim, code: str, detail: str, *, wait_s: float | None = None
) -> bool:
    """Hand a chunk back untouched, since the worker lacks a part: no attempt is counted.

    The chunk is claimable again after `wait_s`, by default longer at each hand-back: claimed at once, it would keep
    its whole lane waiting. The batch says `code` and `detail` once a chunk of it has come back a few times.
    """
    wait_s = blocked.wait_s(held.hand_backs) if wait_s is None else wait_s
    changed = connection.execute(
        update(Chunk)
        .where(Chunk.id == held.chunk_id, Chunk.token == held.token, Chunk.status == ChunkStatus.LEASED)
        .values(
            status=ChunkStatus.QUEUED,
            token=None,
            lease_until=clock() + wait_s,
            attempts=Chunk.attempts - 1,
            hand_backs=Chunk.hand_backs + 1,
        )
    )
    if changed.rowcount != 1:
        return False
    requeue_items(connection, held.batch_id, held.items[0].seq, held.items[-1].seq, attempts=-1)
    if held.hand_backs + 1 >= blocked.TOLD_AFTER:
        blocked.block(connection, held.batch_id, code, detail)
    return True


def requeue_items(connection: Connection, batch_id: str, first: int, last: int, attempts: int = 0) -> None:
    """Queue the items of a chunk that went back into the queue; `attempts` is added to the count of each item.

    The chunks of a paused batch do not stay in the queue: they are held.
    """
    back = connection.execute(
        update(Item)
        .where(Item.batch_id == batch_id, Item.seq.between(first, last), Item.status == ItemStatus.PROCESSING)
        .values(status=ItemStatus.QUEUED, attempts=Item.attempts + attempts)
    ).rowcount
    status = connection.scalar(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(queued=Batch.queued + back, processing=Batch.processing - back, version=Batch.version + 1)
        .returning(Batch.status)
    )
    if status == BatchStatus.PAUSED:
        # The batch is locked now, so no resume comes in between; the chunks are locked by this transaction already.
        connection.execute(
            update(Chunk)
            .where(
                Chunk.batch_id == batch_id,
                Chunk.first_seq <= last,
                Chunk.last_seq >= first,
                Chunk.status == ChunkStatus.QUEUED,
            )
            .values(status=ChunkStatus.HELD)
        )


def end_lease(connection: Connection, chunk_id: int, token: str, until: float) -> None:
    """End a lease before its time, if it still ends at `until`: a holder that has renewed it keeps it."""
    connection.execute(
        update(Chunk)
        .where(Chunk.id == chunk_id, Chunk.token == token, Chunk.lease_until == until)
        .where(Chunk.status == ChunkStatus.LEASED)
        .values(lease_until=literal(0.0))
    )


def return_expired(connection: Connection, chunk_id: int, max_attempts: int) -> str | None:
    """Put a chunk whose lease has ended back into the queue.

    A chunk whose lease has ended `max_attempts` times is halved, each half with one more try, so that an image that
    kills its worker is found by bisection; alone in its chunk it fails as `poison_image`.
    Returns the id of the batch to complete where that closed an item, else None.
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
    # Counted here: of two sweepers, only the winner of the compare-and-set counts.
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
            tenant=chunk.tenant,
            place=chunk.place,
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
            error_detail=f"the worker died {chunk.attempts} times on this image",
            finished_at=clock(),
        )
    ).rowcount
    connection.execute(
        update(Batch)
        .where(Batch.id == chunk.batch_id)
        .values(processing=Batch.processing - failed, failed=Batch.failed + failed, version=Batch.version + 1)
    )
    parts.complete(connection, chunk.batch_id, (chunk.first_seq, chunk.last_seq))
    if failed:
        tallies.add(connection, {tallies.Key(tallies.FAILURES, "poison_image"): tallies.Sum(failed)})
