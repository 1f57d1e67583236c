"""One chunk: claim, decode, predict, decide, record, complete."""

import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from shared import claims, failpoints, metrics, outbox, queues, transitions
from shared.artifact import OperatingPoint
from shared.claims import Claim, ClaimedItem, Result
from shared.clock import now
from shared.db import retrying
from shared.decision import calibrated_score, decide
from shared.errors import ArtifactError, ItemError
from worker.decode import Decoded, decode_item
from worker.engine import Engine
from worker.runtime import LoadedModel, Runtime

log = logging.getLogger(__name__)


def infer_chunk(runtime: Runtime, lane: str) -> bool:
    """Take the oldest queued chunk of a lane to its end; False where none is queued.

    Safe to repeat and to lose: the claim is a compare-and-set, the record is fenced by the lease's token, and
    what dies in between comes back when the lease ends.
    """
    settings = runtime.settings

    def claim() -> Claim | None:
        with runtime.database.write() as connection:
            return claims.claim(
                connection,
                lane=lane,
                token=secrets.token_hex(8),
                host=runtime.host,
                pid=runtime.pid,
                lease_s=settings.lease_s,
            )

    held = retrying(claim)
    if held is None:
        return False
    failpoints.hit("worker.claimed")
    with runtime.holding(held):
        try:
            model = runtime.model(held.model_id)
        except ArtifactError as error:
            log.error("chunk %d is handed back: %s", held.chunk_id, error.detail)
            _hand_back(runtime, held, "model_refused")
            return False
        try:
            results = list(predict_chunk(runtime, held, model))
        except FileNotFoundError:
            if not runtime.blobs.is_there():
                log.error("chunk %d is handed back: the blob store is not there", held.chunk_id)
                _hand_back(runtime, held, "store_missing")
                return False
            with runtime.database.write() as connection:
                metrics.count(connection, "bytes_missing")
            log.error("chunk %d: pack %d of %s is missing", held.chunk_id, held.pack, held.batch_id)
            if held.attempt < settings.max_attempts:
                # Our lease runs out and the sweep brings the chunk back: later, so that the chunks behind it are
                # not kept waiting, and a file system that was slow to show the file has time.
                return True
            results = [_without_bytes(item, held.attempt) for item in held.items]
        failpoints.hit("worker.predicted")
        recorded = _record(runtime, held, results, model.artifact.sha256)
    if recorded is None:
        log.warning("chunk %d was taken over: our verdicts are not written", held.chunk_id)
        return True
    failpoints.hit("worker.recorded")
    outbox.wake(runtime.broker, held.batch_id)
    if recorded.abort:
        _abort(runtime, held.batch_id)
    if recorded.open == 0 or recorded.abort:
        complete_batch(runtime, held.batch_id)
        outbox.wake(runtime.broker, held.batch_id)
    return True


def _without_bytes(item: ClaimedItem, attempts: int = 1) -> Result:
    detail = f"the stored bytes of this picture are gone (tries: {attempts})"
    return Result(item.seq, error_code="fetch_failed", error_detail=detail)


def _record(runtime: Runtime, held: Claim, results: Sequence[Result], sha256: str) -> claims.Recorded | None:
    def record() -> claims.Recorded | None:
        with runtime.database.write() as connection:
            recorded = claims.record(connection, held, results, model_sha256=sha256, at=now())
            if recorded is None:
                metrics.count(connection, "fenced")
            return recorded

    return retrying(record)


def _hand_back(runtime: Runtime, held: Claim, event: str) -> None:
    def release() -> None:
        with runtime.database.write() as connection:
            claims.release(connection, held)
            metrics.count(connection, event)

    retrying(release)


def _abort(runtime: Runtime, batch_id: str) -> None:
    def cancel() -> None:
        with runtime.database.write() as connection:
            transitions.cancel(connection, batch_id)

    retrying(cancel)


def complete_batch(runtime: Runtime, batch_id: str) -> None:
    """Ask whether the batch has ended, in a transaction of its own, and tell of the deliveries it owes."""

    def complete() -> transitions.Completed | None:
        with runtime.database.write() as connection:
            return transitions.complete(connection, batch_id)

    completed = retrying(complete)
    for delivery_id in completed.deliveries if completed else ():
        outbox.send(runtime.celery, queues.DELIVER, [delivery_id], queues.WEBHOOKS)


def predict_chunk(runtime: Runtime, held: Claim, model: LoadedModel) -> Iterator[Result]:
    """A result for each claimed item, in order of micro-batches."""
    point = OperatingPoint(held.threshold, held.review_low, held.review_high)
    size = runtime.settings.micro_batch
    with runtime.blobs.open_pack(held.batch_id, held.pack) as pack:
        waiting: list[Decoded] = []
        for decoded in _decoded(runtime, held.items, pack.fileno(), model):
            if isinstance(decoded, Result):
                yield decoded
                continue
            waiting.append(decoded)
            if len(waiting) == size:
                yield from _decide_all(waiting, model, point)
                waiting = []
        if waiting:
            yield from _decide_all(waiting, model, point)


def _decoded(
    runtime: Runtime, items: Sequence[ClaimedItem], pack: int, model: LoadedModel
) -> Iterator[Decoded | Result]:
    def one(item: ClaimedItem) -> Decoded | Result:
        data = os.pread(pack, item.length, item.offset)
        if len(data) < item.length:  # cut off by whoever copied the store: not the picture's fault
            return _without_bytes(item)
        return decode_item(item, data, model.artifact.preprocessing, runtime.settings.max_pixels)

    threads = runtime.settings.decode_threads or (8 if model.engine.device.startswith("cuda") else 0)
    if threads == 0:
        yield from map(one, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(one, items)


def _decide_all(waiting: list[Decoded], model: LoadedModel, point: OperatingPoint) -> Iterator[Result]:
    started = time.perf_counter()
    logits = predict_or_halve(model.engine, [entry.image for entry in waiting])
    infer_ms = 1000 * (time.perf_counter() - started) / len(waiting)
    for entry, logit in zip(waiting, logits, strict=True):
        try:
            if logit is None:
                raise ItemError("inference_failed", "the network failed on this picture")
            score = calibrated_score(logit, model.artifact.calibration)
        except (ItemError, ValueError) as error:
            yield Result(
                entry.seq, error_code="inference_failed", error_detail=str(error), decode_ms=entry.decode_ms
            )
            continue
        yield Result(
            entry.seq,
            verdict=decide(score, point).value,
            score=score,
            decode_ms=entry.decode_ms,
            infer_ms=infer_ms,
        )


def predict_or_halve(engine: Engine, images: list[NDArray[np.uint8]]) -> list[float | None]:
    """Logits, None for a picture on which the network fails alone.

    Out of memory halves the micro-batch, and any other error is narrowed down the same way, so that one bad
    picture costs its neighbours nothing.
    """
    try:
        failpoints.hit("worker.predict")
        return [float(logit) for logit in engine.predict(np.stack(images))]
    except Exception as error:
        log.warning("a micro-batch of %d failed: %s: %s", len(images), type(error).__name__, error)
        if len(images) == 1:
            return [None]
    middle = len(images) // 2
    return predict_or_halve(engine, images[:middle]) + predict_or_halve(engine, images[middle:])
