"""A worker records verdicts: each claimed item once, fenced by the lease's token.

Compare-and-set and the order of locks as in `shared.lifecycle.endings`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, null, update

from shared.contract.states import UNLIKE, ChunkStatus, ItemStatus, Reason
from shared.lifecycle import known_images, pace, parts
from shared.lifecycle.claims import Claim
from shared.lifecycle.leases import HELD
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one claimed item: a verdict with its score, or an error code."""

    seq: int
    verdict: str | None = None
    score: float | None = None
    error_code: str | None = None
    error_detail: str | None = None
    decode_ms: float = 0.0
    infer_ms: float = 0.0
    reasons: tuple[Reason, ...] = ()
    raw_score: float | None = None
    unfamiliarity: float | None = None
    kind: str | None = None
    judge_id: int | None = None
    cached_from: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A batch after a record: how many items are open, whether a failed item must end it, the ids of the deliveries
    that are owed for parts that ended, and how many of its first items are noted as known."""

    batch_id: str
    open: int
    abort: bool
    deliveries: tuple[str, ...] = ()
    known: int = 0


# The verdicts bear the database's time, not the worker's: a list by score goes by these times (web/resources/items).
_FINISH_CHUNK = (
    update(Chunk).where(HELD).values(status=ChunkStatus.DONE, token=None, lease_until=None).returning(clock())
)
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
        reasons=bindparam("new_reasons"),
        score=bindparam("new_score"),
        raw_score=bindparam("new_raw_score"),
        threshold=bindparam("with_threshold"),
        review_low=bindparam("with_low"),
        review_high=bindparam("with_high"),
        unfamiliarity=bindparam("new_unfamiliarity"),
        kind=bindparam("new_kind"),
        judge_id=bindparam("by_judge"),
        cached_from=bindparam("with_score_of"),
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
        blocked=null(),
        unfamiliar=Batch.unfamiliar + bindparam("n_unfamiliar"),
        version=Batch.version + 1,
        known_seq=known_images.NOTED,
        **pace.COUNTED,
    )
    .returning(Batch.queued + Batch.processing, Batch.on_error, Batch.failed, Batch.parts, Batch.known_seq)
)


def record(
    connection: Connection,
    done: Sequence[tuple[Claim, Sequence[Result]]],
    *,
    model_sha256: str,
    judge_id: int | None = None,
    note: bool = False,
) -> tuple[list[Recorded], list[Claim]]:
    """Write the verdicts of claimed chunks and count them, once; `done` has one result for each claimed item.

    `judge_id` is of the results that name none. `note`: note the images of a batch without an open item as known.
    Returns the batches as they stand now, and the claims whose lease another process has taken over meanwhile: nothing
    is written for those. Raises AssertionError, and the transaction rolls back, where results and claimed items differ.
    """
    kept, lost = [], []
    # In the order of their ids, so that no two transactions wait for each other.
    for held, results in sorted(done, key=lambda entry: entry[0].chunk_id):
        at = connection.scalar(_FINISH_CHUNK, {"chunk": held.chunk_id, "by_token": held.token})
        if at is None:
            lost.append(held)
        else:
            kept.append((held, results, float(at)))
    rows = [
        _item_row(held, result, model_sha256=model_sha256, judge_id=judge_id, at=at)
        for held, results, at in kept
        for result in results
    ]
    claimed = sum(len(held.items) for held, *_ in kept)
    if rows:
        written = connection.execute(_RECORD_ITEM, rows).rowcount
        if not written == len(rows) == claimed:
            raise AssertionError(f"{written} of {claimed} items written of {[held for held, *_ in kept]}")
    by_batch: dict[str, list[tuple[Claim, Sequence[Result]]]] = {}
    for held, results, _ in kept:
        by_batch.setdefault(held.batch_id, []).append((held, results))
    notes = known_images.AT_END if note else 0
    recorded = [_count(connection, batch_id, chunks, notes) for batch_id, chunks in sorted(by_batch.items())]
    if judged := [batch.batch_id for batch in recorded if batch.known and not batch.open]:
        known_images.note(connection, judged)
    return recorded, lost


def _item_row(
    held: Claim, result: Result, *, model_sha256: str, judge_id: int | None, at: float
) -> dict[str, object]:
    return {
        "in_batch": held.batch_id,
        "at_seq": result.seq,
        "new_status": ItemStatus.FAILED if result.error_code else ItemStatus.SUCCEEDED,
        "new_verdict": result.verdict,
        "new_reasons": ",".join(result.reasons) or None,
        "new_score": result.score,
        "new_raw_score": result.raw_score,
        "with_threshold": held.threshold,
        "with_low": held.review_low,
        "with_high": held.review_high,
        "new_unfamiliarity": result.unfamiliarity,
        "new_kind": result.kind,
        "by_judge": result.judge_id or judge_id,
        "with_score_of": result.cached_from,
        "with_model": model_sha256,
        "new_queue_ms": 1000 * max(0.0, at - held.enqueued_at),
        "new_decode_ms": result.decode_ms,
        "new_infer_ms": result.infer_ms,
        "new_error_code": result.error_code,
        "new_error_detail": result.error_detail,
        "at": at,
    }


def _count(
    connection: Connection, batch_id: str, chunks: Sequence[tuple[Claim, Sequence[Result]]], notes: int
) -> Recorded:
    """Count the results of a batch's chunks, then end the parts whose last item is among them."""
    results = [result for _, some in chunks for result in some]
    verdicts = [result.verdict for result in results]
    failed = sum(result.error_code is not None for result in results)
    counts = {
        "in_batch": batch_id,
        "n": len(results),
        "notes": notes,
        "window_s": pace.WINDOW_S,
        "n_succeeded": len(results) - failed,
        "n_failed": failed,
        "n_defect": verdicts.count("defect"),
        "n_no_defect": verdicts.count("no_defect"),
        "n_review": verdicts.count("review"),
        "n_unfamiliar": sum(any(reason in UNLIKE for reason in result.reasons) for result in results),
    }
    still_open, on_error, all_failed, all_parts, known = connection.execute(_COUNT, counts).one()
    deliveries: list[str] = []
    for held, _ in chunks if all_parts else ():
        deliveries += parts.complete(connection, batch_id, (held.items[0].seq, held.items[-1].seq))
    abort = on_error == "abort" and all_failed > 0
    return Recorded(batch_id, still_open, abort, tuple(deliveries), known)
