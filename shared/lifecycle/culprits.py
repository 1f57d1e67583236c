"""An item that is known to be at fault fails alone, and the rest of the chunks in hand is queued again."""

from sqlalchemy import Connection, update

from shared.contract.states import ChunkStatus, ItemStatus
from shared.lifecycle import parts
from shared.lifecycle.claims import Claim
from shared.lifecycle.leases import requeue_items
from shared.store import tallies
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item


def put_back(connection: Connection, held: Claim) -> bool:
    """Queue a held chunk at once and without an attempt; False if the lease was lost."""
    changed = connection.execute(
        update(Chunk)
        .where(Chunk.id == held.chunk_id, Chunk.token == held.token, Chunk.status == ChunkStatus.LEASED)
        .values(status=ChunkStatus.QUEUED, token=None, lease_until=None, attempts=Chunk.attempts - 1)
    )
    if changed.rowcount != 1:
        return False
    requeue_items(connection, held.batch_id, held.items[0].seq, held.items[-1].seq, attempts=-1)
    return True


def fail_alone(connection: Connection, held: Claim, seq: int, code: str, detail: str) -> bool:
    """Fail one item of a held chunk and put the chunk back; False if the lease was lost.

    The next claim takes the items that are still open. It completes the batch if none is.
    """
    if not put_back(connection, held):
        return False
    failed = connection.execute(
        update(Item)
        .where(Item.batch_id == held.batch_id, Item.seq == seq, Item.status == ItemStatus.QUEUED)
        .values(status=ItemStatus.FAILED, error_code=code, error_detail=detail, finished_at=clock())
    ).rowcount
    connection.execute(
        update(Batch)
        .where(Batch.id == held.batch_id)
        .values(queued=Batch.queued - failed, failed=Batch.failed + failed, version=Batch.version + 1)
    )
    parts.complete(connection, held.batch_id, (seq, seq))
    if failed:
        tallies.add(connection, {tallies.Key(tallies.FAILURES, code): tallies.Sum(failed)})
    return True
