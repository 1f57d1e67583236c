"""Open items that no waiting chunk covers: no worker would ever claim them, so they are given a chunk."""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from shared.contract.states import BatchStatus, ChunkStatus, FetchStatus, ItemStatus
from shared.lifecycle import turns
from shared.lifecycle.recount import recount
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Fetch, Item

_COVERED = exists().where(
    Chunk.batch_id == Item.batch_id,
    Chunk.first_seq <= Item.seq,
    Chunk.last_seq >= Item.seq,
    Chunk.status.in_([ChunkStatus.HELD, ChunkStatus.QUEUED, ChunkStatus.LEASED]),
)
# An item whose bytes are still to be fetched gets its chunk with them.
AWAITED = exists().where(
    Fetch.batch_id == Item.batch_id, Fetch.seq == Item.seq, Fetch.status != FetchStatus.FAILED
)
_UNCOVERED = select(Item.batch_id, Item.seq, Item.pack).where(
    Item.status.in_([ItemStatus.QUEUED, ItemStatus.PROCESSING]), ~_COVERED, ~AWAITED
)
_LOCKED = (
    _UNCOVERED.with_only_columns(Item.seq)
    .where(Item.batch_id == bindparam("in_batch"))
    .order_by(Item.seq)
    .with_for_update(of=Item)
)


def uncovered(connection: Connection, limit: int) -> Sequence[tuple[str, int]]:
    """(batch, seq) of at most `limit` open items that no waiting chunk covers."""
    query = _UNCOVERED.order_by(Item.batch_id, Item.seq).limit(limit)
    return [(row.batch_id, row.seq) for row in connection.execute(query)]


def cover(connection: Connection, batch_id: str) -> None:
    """Queue the uncovered items of a batch, one chunk for each run of neighbours in one pack, and recount it."""
    # Items before the batch, as all transactions lock them: a cancel that holds the items waits for the batch.
    mine = set(connection.scalars(_LOCKED, {"in_batch": batch_id}))
    locked = select(Batch.lane, Batch.status).where(Batch.id == batch_id).with_for_update()
    batch = connection.execute(locked).first()
    # Asked again with the locks in hand: a second repair, which waited for the first, finds these items covered.
    query = _UNCOVERED.where(Item.batch_id == batch_id).order_by(Item.seq)
    items = [(row.seq, row.pack) for row in connection.execute(query) if row.seq in mine]
    if batch is not None:
        queue_runs(connection, batch_id, items, batch.lane, hold=batch.status == BatchStatus.PAUSED)
    recount(connection, batch_id, mend=True)


def queue_runs(
    connection: Connection, batch_id: str, items: Sequence[tuple[int, int]], lane: str, *, hold: bool = False
) -> int:
    """Make items, given as (seq, pack) in order, queued: a chunk for each run of neighbours in one pack.

    Returns the number of chunks. `hold` holds them, as those of a paused batch.
    """
    runs, placed = [], 0
    # Neighbours share the difference of place and position in the list.
    for (_, pack), run in groupby(enumerate(items), lambda at: (at[1][0] - at[0], at[1][1])):
        seqs = [seq for _, (seq, _) in run]
        runs.append((seqs[0], seqs[-1], pack))
    for first, last, pack in runs:
        # The chunks stand one behind the other, the first at the head of the line.
        placed += last - first + 1
        within = (Item.batch_id == batch_id, Item.seq.between(first, last))
        connection.execute(update(Item).where(*within).values(status=ItemStatus.QUEUED))
        connection.execute(
            insert(Chunk).values(
                **turns.PLACED,
                batch_id=batch_id,
                first_seq=first,
                last_seq=last,
                pack=pack,
                lane=lane,
                status=ChunkStatus.HELD if hold else ChunkStatus.QUEUED,
                attempts=0,
                enqueued_at=clock(),
            ),
            {"in_batch": batch_id, "in_lane": lane, "n_items": placed},
        )
    return len(runs)
