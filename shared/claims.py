"""What a worker does with chunks: claim, renew, record, hand back.

Compare-and-set and the order of locks as in `shared.transitions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, case, func, or_, select, update

from shared.db import clock
from shared.states import BatchStatus, ChunkStatus, ItemStatus
from shared.tables import Batch, Chunk, Item


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
    """The batch after a record: how many items are open, and whether a failure must end it."""

    open: int
    abort: bool


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
    .values(
        status=ChunkStatus.LEASED,
        token=bindparam("new_token"),
        lease_until=clock() + bindparam("lease_s"),
        attempts=Chunk.attempts + 1,
        host=bindparam("by_host"),
        pid=bindparam("by_pid"),
    )
    .returning(
        Chunk.id,
        Chunk.batch_id,
        Chunk.first_seq,
        Chunk.last_seq,
        Chunk.pack,
        Chunk.attempts,
        Chunk.enqueued_at,
    )
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
    connection: Connection, *, lane: str, token: str, host: str, pid: int, lease_s: float
) -> Claim | None:
    """Take the oldest queued chunk of a lane, with its open items; None where none is queued.

    The attempt is counted here, before any work, so that a chunk that kills its worker is counted too.
    """
    chunk = connection.execute(
        _CLAIM_CHUNK,
        {"in_lane": lane, "new_token": token, "lease_s": lease_s, "by_host": host, "by_pid": pid},
    ).first()
    if chunk is None:
        return None
    rows = connection.execute(
        _CLAIM_ITEMS, {"in_batch": chunk.batch_id, "first": chunk.first_seq, "last": chunk.last_seq}
    ).all()
    batch = connection.execute(_CLAIM_BATCH, {"in_batch": chunk.batch_id, "n": len(rows)}).one()
    return Claim(
        chunk_id=chunk.id,
        token=token,
        batch_id=chunk.batch_id,
        pack=chunk.pack,
        attempt=chunk.attempts,
        enqueued_at=chunk.enqueued_at,
        model_id=batch.model_id,
        threshold=batch.threshold,
        review_low=batch.review_low,
        review_high=batch.review_high,
        items=tuple(ClaimedItem(*row) for row in sorted(rows)),
    )


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
    connection: Connection, held: Claim, results: Sequence[Result], *, model_sha256: str, at: float
) -> Recorded | None:
    """Write the verdicts of a claimed chunk and count them, once: None, and nothing written, where the lease
    was lost meanwhile (a late zombie). `results` holds one entry for each claimed item."""
    done = connection.execute(_FINISH_CHUNK, {"chunk": held.chunk_id, "by_token": held.token})
    if done.rowcount != 1:
        return None
    waited_ms = 1000 * max(0.0, at - held.enqueued_at)
    rows = [
        {
            "in_batch": held.batch_id,
            "at_seq": result.seq,
            "new_status": ItemStatus.FAILED if result.error_code else ItemStatus.SUCCEEDED,
            "new_verdict": result.verdict,
            "new_score": result.score,
            "with_threshold": held.threshold,
            "with_model": model_sha256,
            "new_queue_ms": waited_ms,
            "new_decode_ms": result.decode_ms,
            "new_infer_ms": result.infer_ms,
            "new_error_code": result.error_code,
            "new_error_detail": result.error_detail,
            "at": at,
        }
        for result in results
    ]
    if rows:
        changed = connection.execute(_RECORD_ITEM, rows)
        if changed.rowcount != len(rows) or len(rows) != len(held.items):
            raise AssertionError(
                f"chunk {held.chunk_id}: {changed.rowcount} of {len(held.items)} items written"
            )
    verdicts = [result.verdict for result in results]
    failed = sum(result.error_code is not None for result in results)
    counts = {
        "in_batch": held.batch_id,
        "n": len(results),
        "n_succeeded": len(results) - failed,
        "n_failed": failed,
        "n_defect": verdicts.count("defect"),
        "n_no_defect": verdicts.count("no_defect"),
        "n_review": verdicts.count("review"),
    }
    still_open, on_error, all_failed = connection.execute(_COUNT, counts).one()
    return Recorded(open=still_open, abort=on_error == "abort" and all_failed > 0)


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
