"""What a worker does with chunks: claim, renew, record, hand back.

Compare-and-set and the order of locks as in `shared.lifecycle.endings`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, or_, select, update

from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item


@dataclass(frozen=True, slots=True)
class ClaimedItem:
    seq: int
    offset: int
    length: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that is ours until the lease ends; `token` proves it."""

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


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one claimed item: a verdict with its score, or an error code."""

    seq: int
    verdict: str | None = None
    score: float | None = None
    error_code: str | None = None
    error_detail: str | None = None
    decode_ms: float = 0.0
    infer_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A batch after a record: how many items are open, and whether a failure must end it."""

    batch_id: str
    open: int
    abort: bool


_LEASED = {
    "status": ChunkStatus.LEASED,
    "token": bindparam("new_token"),
    "lease_until": clock() + bindparam("lease_s"),
    "attempts": Chunk.attempts + 1,
    "host": bindparam("by_host"),
    "pid": bindparam("by_pid"),
}
_CLAIM_CHUNK = (
    update(Chunk)
    .where(
        Chunk.id
        == select(Chunk.id)
        .where(
            Chunk.status == ChunkStatus.QUEUED,
            Chunk.lane == bindparam("in_lane"),
            or_(Chunk.lease_until.is_(None), Chunk.lease_until <= clock()),
        )
        .order_by(Chunk.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery(),
        Chunk.status == ChunkStatus.QUEUED,
    )
    .values(**_LEASED)
    .returning(Chunk.__table__)
)
# What of the oldest untried chunks of a lane fits into `room` items and needs the model of a batch. A chunk that has
# ended a lease is not among them: it may be the one that kills its worker.
_OLDEST = (
    select(Chunk.id, Chunk.batch_id, (Chunk.last_seq - Chunk.first_seq + 1).label("size"))
    .where(
        Chunk.status == ChunkStatus.QUEUED,
        Chunk.lane == bindparam("in_lane"),
        Chunk.attempts == 0,
        Chunk.lease_until.is_(None),
    )
    .order_by(Chunk.id)
    .limit(bindparam("most"))
    .subquery()
)
_FITTING = (
    select(_OLDEST.c.id, func.sum(_OLDEST.c.size).over(order_by=_OLDEST.c.id).label("filled"))
    .join(Batch, Batch.id == _OLDEST.c.batch_id)
    .where(
        _OLDEST.c.size <= bindparam("room"),
        Batch.model_id == select(Batch.model_id).where(Batch.id == bindparam("of_batch")).scalar_subquery(),
    )
    .subquery()
)
_CLAIM_MORE = (
    update(Chunk)
    .where(
        Chunk.id.in_(
            select(Chunk.id)
            .where(
                Chunk.id.in_(select(_FITTING.c.id).where(_FITTING.c.filled <= bindparam("room"))),
                Chunk.status == ChunkStatus.QUEUED,
            )
            .with_for_update(skip_locked=True)
        ),
        Chunk.status == ChunkStatus.QUEUED,
    )
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
    .returning(Item.seq, Item.offset, Item.length, Item.sha256)
)
_CLAIM_BATCH = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        status=case((Batch.status == BatchStatus.QUEUED, BatchStatus.PROCESSING), else_=Batch.status),
        started_at=func.coalesce(Batch.started_at, clock()),
        queued=Batch.queued - bindparam("n"),
        processing=Batch.processing + bindparam("n"),
        version=Batch.version + 1,
    )
    .returning(Batch.model_id, Batch.threshold, Batch.review_low, Batch.review_high)
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
) -> list[Claim]:
    """Take the oldest queued chunk of the first lane, with its open items; empty where none is queued.

    What its last micro-batch has room for is filled with small chunks of other batches, of any of the lanes, that need
    the same model. The attempt is counted here, before any work, so that a chunk that kills its worker is counted too;
    one that may be such a chunk is claimed alone.
    """
    lease = {"new_token": token, "lease_s": lease_s, "by_host": host, "by_pid": pid}
    first = connection.execute(_CLAIM_CHUNK, {"in_lane": lanes[0], **lease}).first()
    if first is None:
        return []
    chunks = [first]
    room = -(first.last_seq - first.first_seq + 1) % micro_batch if first.attempts == 1 else 0
    for lane in lanes:
        if room == 0:
            break
        fitting = {"in_lane": lane, "of_batch": first.batch_id, "room": room, "most": micro_batch}
        more = connection.execute(_CLAIM_MORE, {**fitting, **lease}).all()
        room -= sum(chunk.last_seq - chunk.first_seq + 1 for chunk in more)
        chunks += sorted(more)
    items = [
        connection.execute(
            _CLAIM_ITEMS, {"in_batch": chunk.batch_id, "first": chunk.first_seq, "last": chunk.last_seq}
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
    return [
        Claim(
            chunk_id=chunk.id,
            token=token,
            batch_id=chunk.batch_id,
            pack=chunk.pack,
            lane=chunk.lane,
            attempt=chunk.attempts,
            enqueued_at=chunk.enqueued_at,
            items=tuple(ClaimedItem(*row) for row in sorted(rows)),
            **batches[chunk.batch_id]._mapping,
        )
        for chunk, rows in zip(chunks, items, strict=True)
    ]


_HELD = and_(
    Chunk.id == bindparam("chunk"), Chunk.token == bindparam("by_token"), Chunk.status == ChunkStatus.LEASED
)
_RENEW = update(Chunk).where(_HELD).values(lease_until=clock() + bindparam("lease_s"))


def renew(connection: Connection, chunk_id: int, token: str, lease_s: float) -> bool:
    """Prolong a lease; False where it is no longer ours."""
    done = connection.execute(_RENEW, {"chunk": chunk_id, "by_token": token, "lease_s": lease_s})
    return done.rowcount == 1


_FINISH_CHUNK = update(Chunk).where(_HELD).values(status=ChunkStatus.DONE, token=None, lease_until=None)
_RECORD_ITEM = (
    update(Item)
    .where(
        Item.batch_id == bindparam("in_batch"),
        Item.seq == bindparam("at_seq"),
        Item.status == ItemStatus.PROCESSING,
    )
    .values(
        status=bindparam("new_status"),
        verdict=bindparam("new_verdict"),
        score=bindparam("new_score"),
        threshold=bindparam("with_threshold"),
        model_sha256=bindparam("with_model"),
        queue_ms=bindparam("new_queue_ms"),
        decode_ms=bindparam("new_decode_ms"),
        infer_ms=bindparam("new_infer_ms"),
        error_code=bindparam("new_error_code"),
        error_detail=bindparam("new_error_detail"),
        finished_at=bindparam("at"),
    )
)
_COUNT = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        processing=Batch.processing - bindparam("n"),
        succeeded=Batch.succeeded + bindparam("n_succeeded"),
        failed=Batch.failed + bindparam("n_failed"),
        defect=Batch.defect + bindparam("n_defect"),
        no_defect=Batch.no_defect + bindparam("n_no_defect"),
        review=Batch.review + bindparam("n_review"),
        version=Batch.version + 1,
    )
    .returning(Batch.queued + Batch.processing, Batch.on_error, Batch.failed)
)


def record(
    connection: Connection, done: Sequence[tuple[Claim, Sequence[Result]]], *, model_sha256: str, at: float
) -> tuple[list[Recorded], list[Claim]]:
    """Write the verdicts of claimed chunks and count them, once; `done` has one result for each claimed item.

    Returns what became of their batches, and the claims whose lease was lost meanwhile (we are a late zombie): of
    those nothing is written.
    """
    kept, lost = [], []
    # In the order of their ids, so that no two transactions wait for each other.
    for held, results in sorted(done, key=lambda entry: entry[0].chunk_id):
        finished = connection.execute(_FINISH_CHUNK, {"chunk": held.chunk_id, "by_token": held.token})
        if finished.rowcount == 1:
            kept.append((held, results))
        else:
            lost.append(held)
    rows = [
        _item_row(held, result, model_sha256=model_sha256, at=at)
        for held, results in kept
        for result in results
    ]
    claimed = sum(len(held.items) for held, _ in kept)
    if rows:
        written = connection.execute(_RECORD_ITEM, rows).rowcount
        if not written == len(rows) == claimed:
            raise AssertionError(f"{written} of {claimed} items written of {[held for held, _ in kept]}")
    by_batch: dict[str, list[Result]] = {}
    for held, results in kept:
        by_batch.setdefault(held.batch_id, []).extend(results)
    recorded = [_count(connection, batch_id, results) for batch_id, results in sorted(by_batch.items())]
    return recorded, lost


def _item_row(held: Claim, result: Result, *, model_sha256: str, at: float) -> dict[str, Any]:
    return {
        "in_batch": held.batch_id,
        "at_seq": result.seq,
        "new_status": ItemStatus.FAILED if result.error_code else ItemStatus.SUCCEEDED,
        "new_verdict": result.verdict,
        "new_score": result.score,
        "with_threshold": held.threshold,
        "with_model": model_sha256,
        "new_queue_ms": 1000 * max(0.0, at - held.enqueued_at),
        "new_decode_ms": result.decode_ms,
        "new_infer_ms": result.infer_ms,
        "new_error_code": result.error_code,
        "new_error_detail": result.error_detail,
        "at": at,
    }


def _count(connection: Connection, batch_id: str, results: Sequence[Result]) -> Recorded:
    verdicts = [result.verdict for result in results]
    failed = sum(result.error_code is not None for result in results)
    counts = {
        "in_batch": batch_id,
        "n": len(results),
        "n_succeeded": len(results) - failed,
        "n_failed": failed,
        "n_defect": verdicts.count("defect"),
        "n_no_defect": verdicts.count("no_defect"),
        "n_review": verdicts.count("review"),
    }
    still_open, on_error, all_failed = connection.execute(_COUNT, counts).one()
    return Recorded(batch_id, still_open, abort=on_error == "abort" and all_failed > 0)


def release(connection: Connection, held: Claim, wait_s: float = 5.0) -> bool:
    """Hand a chunk back untouched, since the worker lacks a part: no attempt is counted.

    Nobody claims it before `wait_s` is over: claimed again at once, it would keep its whole lane waiting.
    """
    changed = connection.execute(
        update(Chunk)
        .where(Chunk.id == held.chunk_id, Chunk.token == held.token, Chunk.status == ChunkStatus.LEASED)
        .values(
            status=ChunkStatus.QUEUED, token=None, lease_until=clock() + wait_s, attempts=Chunk.attempts - 1
        )
    )
    if changed.rowcount != 1:
        return False
    requeue_items(connection, held.batch_id, held.items[0].seq, held.items[-1].seq, attempts=-1)
    return True


def requeue_items(connection: Connection, batch_id: str, first: int, last: int, attempts: int = 0) -> None:
    """Items of a chunk that went back into the queue wait again; `attempts` is added to each one's count."""
    back = connection.execute(
        update(Item)
        .where(Item.batch_id == batch_id, Item.seq.between(first, last), Item.status == ItemStatus.PROCESSING)
        .values(status=ItemStatus.QUEUED, attempts=Item.attempts + attempts)
    ).rowcount
    connection.execute(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(queued=Batch.queued + back, processing=Batch.processing - back, version=Batch.version + 1)
    )
