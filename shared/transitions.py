"""Every change of state, each by compare-and-set: who loses the race changes nothing and is told so.

The order of locks is chunk, items, batch, in every function: PostgreSQL then never sees a deadlock of ours.
Statements are built once, since building one costs more than running it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from shared import payloads
from shared.db import clock
from shared.ids import new_id
from shared.states import BatchStatus, ChunkStatus, DeliveryStatus, ItemStatus, Outcome
from shared.tables import Attempt, Batch, Chunk, Delivery, Item, Submission

_EVENTS = {
    BatchStatus.COMPLETED: "batch.completed",
    BatchStatus.FAILED: "batch.failed",
    BatchStatus.CANCELLED: "batch.cancelled",
    BatchStatus.EXPIRED: "batch.expired",
}


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


@dataclass(frozen=True, slots=True)
class Completed:
    """A batch that ended just now, and the deliveries it owes."""

    deliveries: tuple[str, ...]


_OPEN_ITEMS = Batch.queued + Batch.processing
_COMPLETE = (
    update(Batch)
    .where(
        Batch.id == bindparam("in_batch"),
        Batch.sealed.is_(True),
        Batch.finished_at.is_(None),
        _OPEN_ITEMS == 0,
    )
    .values(
        status=case(
            (Batch.status == BatchStatus.CANCELLING, BatchStatus.CANCELLED),
            (Batch.expired > 0, BatchStatus.EXPIRED),
            (Batch.started_at.is_(None), BatchStatus.FAILED),
            else_=BatchStatus.COMPLETED,
        ),
        outcome=case(
            (Batch.succeeded == Batch.total, Outcome.ALL_SUCCEEDED),
            (Batch.succeeded == 0, Outcome.ALL_FAILED),
            else_=Outcome.PARTIAL,
        ),
        finished_at=clock(),
        retain_until=clock() + Batch.retention_s,
        version=Batch.version + 1,
    )
    .returning(Batch.__table__)
)


def complete(connection: Connection, batch_id: str) -> Completed | None:
    """End a batch that has no open item, and owe its webhook, in one transaction of its own. None where it
    has an open item, or somebody else has ended it.

    It must not share the transaction that recorded the last chunk: the last two workers would each see the
    other's items open, and nobody would complete.
    """
    row = connection.execute(_COMPLETE, {"in_batch": batch_id}).first()
    return None if row is None else Completed(_owe_delivery(connection, row))


def _owe_delivery(connection: Connection, batch: Row[Any]) -> tuple[str, ...]:
    event = _EVENTS[BatchStatus(batch.status)]
    webhook = batch.webhook
    if not webhook or event not in (webhook.get("events") or [event]):
        return ()
    identifier = new_id("whd")
    body = json.dumps(payloads.event(event, payloads.batch(batch), batch.finished_at), separators=(",", ":"))
    connection.execute(
        insert(Delivery).values(
            id=identifier,
            tenant=batch.tenant,
            batch_id=batch.id,
            event=event,
            url=webhook["url"],
            secret=webhook["secret"],
            body=body,
            status=DeliveryStatus.PENDING,
            attempts=0,
            due_at=clock(),
            created_at=clock(),
        )
    )
    return (identifier,)


def _close_queued(connection: Connection, batch_id: str, as_status: ItemStatus) -> int:
    """Take the queued chunks of a batch out of the queue and give their items a terminal state."""
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


def cancel(connection: Connection, batch_id: str) -> bool:
    """Cancel what has not begun; chunks under way keep their verdicts. False where the batch has ended.

    The caller asks complete() next, in a transaction of its own.
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
    if changed.rowcount != 1:
        connection.rollback()
        return False
    return True


def expire(connection: Connection, batch_id: str) -> bool:
    """Close the queued items of a batch whose deadline has passed; the caller asks complete() next."""
    closed = _close_queued(connection, batch_id, ItemStatus.EXPIRED)
    changed = connection.execute(
        update(Batch)
        .where(
            Batch.id == batch_id, Batch.finished_at.is_(None), Batch.deadline_at < clock(), Batch.queued > 0
        )
        .values(queued=Batch.queued - closed, expired=Batch.expired + closed, version=Batch.version + 1)
    )
    if changed.rowcount != 1:
        connection.rollback()
        return False
    return True


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


def purge(connection: Connection, batch_id: str) -> bool:
    """Delete the rows of a batch that has ended, or whose upload was abandoned; its bytes go after the commit."""
    connection.execute(delete(Chunk).where(Chunk.batch_id == batch_id))
    connection.execute(delete(Item).where(Item.batch_id == batch_id))
    connection.execute(
        delete(Attempt).where(
            Attempt.delivery_id.in_(select(Delivery.id).where(Delivery.batch_id == batch_id))
        )
    )
    connection.execute(delete(Delivery).where(Delivery.batch_id == batch_id))
    connection.execute(delete(Submission).where(Submission.batch_id == batch_id))
    gone = connection.execute(
        delete(Batch).where(
            Batch.id == batch_id, (Batch.finished_at.is_not(None)) | (Batch.sealed.is_(False))
        )
    )
    if gone.rowcount != 1:
        connection.rollback()
        return False
    return True
