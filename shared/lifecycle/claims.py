"""A worker claims queued chunks: one `UPDATE` takes the lease and counts the attempt.

Compare-and-set and the order of locks as in `shared.lifecycle.endings`.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, case, func, select, update

from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.lifecycle import events, known_images, pace, turns
from shared.store.engine import clock
from shared.store.records import ChunkRecord
from shared.store.tables import Batch, Chunk, Item


@dataclass(frozen=True, slots=True)
class ClaimedItem:
    seq: int
    offset: int
    length: int
    sha256: str | None
    frame: int | None = None
    known: bool = False  # perhaps: another item with the same bytes has a score


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that this process holds until the lease ends; `token` proves it."""

    chunk_id: int
    token: str
    batch_id: str
    pack: int
    lane: str
    attempt: int
    enqueued_at: float
    model_id: str
    threshold: float
    review_low: float
    review_high: float
    items: tuple[ClaimedItem, ...]
    tenant: str = ""
    line: str | None = None
    rerun_of: str | None = None
    traceparent: str | None = None
    hand_backs: int = 0
    waited_s: float = 0.0  # in the queue


_LEASED = {
    "status": ChunkStatus.LEASED,
    "token": bindparam("new_token"),
    "lease_until": clock() + bindparam("lease_s"),
    "attempts": Chunk.attempts + 1,
    "host": bindparam("by_host"),
    "pid": bindparam("by_pid"),
    **turns.TURN,
}
_CLAIM_CHUNK = (
    update(Chunk)
    .where(
        Chunk.id == turns.NEXT_CHUNK,
        # Asked again outside: on SQLite, and where the row changed before it was locked, this is the compare-and-set.
        Chunk.status == ChunkStatus.QUEUED,
    )
    .values(**_LEASED)
    .returning(Chunk.__table__)
)
# The oldest never-attempted chunks of the lane. A chunk that has ended a lease is left out: it may be the chunk that
# kills its worker.
_OLDEST = (
    select(Chunk.id, Chunk.batch_id, (Chunk.last_seq - Chunk.first_seq + 1).label("size"))
    .where(
        turns.is_queued(Chunk),
        Chunk.lane == bindparam("in_lane"),
        Chunk.attempts == 0,
        Chunk.lease_until.is_(None),
    )
    .order_by(Chunk.id)
    .limit(bindparam("most"))
)
_MODELS = select(Batch.id, Batch.model_id).where(Batch.id.in_(bindparam("of_batches", expanding=True)))
_THESE = Chunk.id.in_(bindparam("chunks", expanding=True))
_LOCK = select(Chunk.id).where(_THESE, Chunk.status == ChunkStatus.QUEUED).with_for_update(skip_locked=True)
_CLAIM_THESE = (
    update(Chunk)
    .where(_THESE, Chunk.status == ChunkStatus.QUEUED)
    .values(**_LEASED)
    .returning(Chunk.__table__)
)
_IN_RANGE = and_(
    Item.batch_id == bindparam("in_batch"), Item.seq.between(bindparam("first"), bindparam("last"))
)
_CLAIM_ITEMS = (
    update(Item)
    .where(_IN_RANGE, Item.status == ItemStatus.QUEUED)
    .values(status=ItemStatus.PROCESSING, attempts=Item.attempts + 1)
    .returning(Item.seq, Item.offset, Item.length, Item.sha256, Item.frame)
)
_CLAIM_ITEMS_AND_LOOK = _CLAIM_ITEMS.returning(known_images.IS_KNOWN.label("known"))
_TERMS = ("model_id", "threshold", "review_low", "review_high", "tenant", "line", "rerun_of", "traceparent")
_CLAIM_BATCH = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        status=case((Batch.status == BatchStatus.QUEUED, BatchStatus.PROCESSING), else_=Batch.status),
        started_at=func.coalesce(Batch.started_at, clock()),
        queued=Batch.queued - bindparam("n"),
        processing=Batch.processing + bindparam("n"),
        version=Batch.version + 1,
        **pace.BEGUN,
    )
    .returning(
        *(Batch.__table__.columns[name] for name in _TERMS),
        # Perhaps the first claim of the batch: events.note_start() knows.
        and_(Batch.processing == bindparam("n"), Batch.succeeded == 0).label("begins"),
    )
)


def claim(
    connection: Connection,
    *,
    lanes: Sequence[str],
    micro_batch: int,
    token: str,
    host: str,
    pid: int,
    lease_s: float,
    look: bool = False,
) -> list[Claim]:
    """Claim the next chunk of the first lane, with its open items; empty if no chunk is queued there.

    The next chunk is the first in the line of the tenant that has been served least (shared.lifecycle.turns). The room
    in its last micro-batch is filled with small chunks of other batches, of any of the lanes, that need the same
    model. The attempt is counted here, before any work, so that a chunk that kills its worker is counted too. A chunk
    that has ended a lease is claimed alone. `look`: look for each item whether its image is known.
    """
    lease = {"new_token": token, "lease_s": lease_s, "by_host": host, "by_pid": pid}
    row = connection.execute(_CLAIM_CHUNK, {"in_lane": lanes[0], **lease}).first()
    if row is None:
        return []
    first = ChunkRecord._make(row)
    chunks = [first]
    room = -first.size % micro_batch if first.attempts == 1 else 0
    for lane in lanes:
        if room == 0:
            break
        fitting = _fitting(connection, first.batch_id, lane, room, micro_batch)
        more = _claim_these(connection, fitting, lease)
        room -= sum(chunk.size for chunk in more)
        chunks += more
    items = [
        connection.execute(
            _CLAIM_ITEMS_AND_LOOK if look else _CLAIM_ITEMS,
            {"in_batch": chunk.batch_id, "first": chunk.first_seq, "last": chunk.last_seq},
        ).all()
        for chunk in chunks
    ]
    taken: Counter[str] = Counter()
    for chunk, rows in zip(chunks, items, strict=True):
        taken[chunk.batch_id] += len(rows)
    batches = {
        batch_id: connection.execute(_CLAIM_BATCH, {"in_batch": batch_id, "n": n}).one()
        for batch_id, n in sorted(taken.items())
    }
    for batch_id, batch in batches.items():
        if batch.begins:
            events.note_start(connection, batch_id)
    return [
        Claim(
            chunk_id=chunk.id,
            token=token,
            batch_id=chunk.batch_id,
            pack=chunk.pack,
            lane=chunk.lane,
            attempt=chunk.attempts,
            enqueued_at=chunk.enqueued_at,
            hand_backs=chunk.hand_backs,
            # The lease began at the claim, by the clock of the database.
            waited_s=max(0.0, (chunk.lease_until or 0.0) - lease_s - chunk.enqueued_at),
            items=tuple(ClaimedItem(*row) for row in sorted(rows)),
            **{name: getattr(batches[chunk.batch_id], name) for name in _TERMS},
        )
        for chunk, rows in zip(chunks, items, strict=True)
    ]


def _fitting(connection: Connection, batch_id: str, lane: str, room: int, most: int) -> list[int]:
    """The ids of the lane's oldest chunks that fit in `room` items and need the model of the batch.

    Plain statements: PostgreSQL planned a single one for all of this by the number of queued chunks that it knew of,
    and looked through the lane once for each pair of its chunks. That took 24 s with 800 chunks that had just come.
    """
    rows = connection.execute(_OLDEST, {"in_lane": lane, "most": most})
    small = [row for row in rows if row.size <= room]
    if not small:
        return []
    of_batches = sorted({batch_id, *(row.batch_id for row in small)})
    models = {row.id: row.model_id for row in connection.execute(_MODELS, {"of_batches": of_batches})}
    sizes = {row.id: row.size for row in small if models[row.batch_id] == models[batch_id]}
    filled = zip(sizes, itertools.accumulate(sizes.values()), strict=True)
    return [chunk_id for chunk_id, items in filled if items <= room]


def _claim_these(connection: Connection, chunks: list[int], lease: dict[str, object]) -> list[ChunkRecord]:
    """Claim those of the chunks that no other worker has claimed or is about to claim, sorted by id, so that no two
    transactions lock items and batches in opposite orders."""
    free = connection.scalars(_LOCK, {"chunks": chunks}).all() if chunks else []
    if not free:
        return []
    claimed = connection.execute(_CLAIM_THESE, {"chunks": sorted(free), **lease})
    return sorted(map(ChunkRecord._make, claimed))
