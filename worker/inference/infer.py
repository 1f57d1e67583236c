"""One chunk, or some small ones together: claim, decode, predict, decide, record, complete."""

import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shared import failpoints
from shared.broker import messages, queues
from shared.clock import now
from shared.contract.operating_point import OperatingPoint
from shared.errors import ArtifactError, ItemError
from shared.lifecycle import claims, counters, endings
from shared.lifecycle.claims import Claim, ClaimedItem, Result
from shared.store.engine import retrying
from shared.vision.decision import calibrated_score, decide
from worker.inference.decode import Decoded, decode_item
from worker.inference.engine import Engine
from worker.inference.runtime import LoadedModel, Runtime

log = logging.getLogger(__name__)


def infer_chunks(runtime: Runtime, lane: str) -> bool:
    """Take the oldest queued chunk of a lane, and what fits beside it, to their end; False where none is queued.

    Safe to repeat and to lose: the claim is a compare-and-set, the record is fenced by the lease's token, and
    what dies in between comes back when the lease ends.
    """
    held = retrying(partial(_claim, runtime, lane))
    if not held:
        return False
    failpoints.hit("worker.claimed")
    with runtime.holding(held):
        messages.take_back(runtime.broker, [claim.lane for claim in held[1:]])
        try:
            model = runtime.model(held[0].model_id)
        except ArtifactError as error:
            _hand_back(runtime, held, "model_refused", error.detail)
            return False
        began = time.perf_counter()
        done, missing = predict_chunks(runtime, held, model)
        runtime.pace.add(sum(len(results) for _, results in done), time.perf_counter() - began)
        if missing:
            if not runtime.blobs.is_there():
                _hand_back(runtime, held, "store_missing", "the blob store is not there")
                return False
            done += _give_up(runtime, missing)
        failpoints.hit("worker.predicted")
        recorded = retrying(partial(_record, runtime, done, model.artifact.sha256))
    failpoints.hit("worker.recorded")
    messages.wake(runtime.broker, *(batch.batch_id for batch in recorded))
    for batch in recorded:
        if batch.abort:
            retrying(partial(_abort, runtime, batch.batch_id))
    ended = [batch.batch_id for batch in recorded if batch.open == 0 or batch.abort]
    if ended:
        retrying(partial(_complete, runtime, ended))
        messages.wake(runtime.broker, *ended)
    return True


def _claim(runtime: Runtime, lane: str) -> list[Claim]:
    settings = runtime.settings
    with runtime.database.write() as connection:
        return claims.claim(
            connection,
            lanes=[lane, *(other for other in runtime.lanes if other != lane)],
            # Where one death is the end, a picture may not take those of other chunks with it.
            micro_batch=settings.micro_batch if settings.max_attempts > 1 else 1,
            token=secrets.token_hex(8),
            host=runtime.host,
            pid=runtime.pid,
            lease_s=settings.lease_s,
        )


def _give_up(runtime: Runtime, missing: Sequence[Claim]) -> list[tuple[Claim, list[Result]]]:
    """Results of chunks whose pack is gone, once they have been tried often enough.

    Before that their leases run out and the sweep brings them back: later, so that the chunks behind them are not
    kept waiting, and a file system that was slow to show a file has time.
    """
    with runtime.database.write() as connection:
        counters.count(connection, "bytes_missing", len(missing))
    for held in missing:
        log.error("chunk %d: pack %d of %s is missing", held.chunk_id, held.pack, held.batch_id)
    return [
        (held, [_without_bytes(item, held.attempt) for item in held.items])
        for held in missing
        if held.attempt >= runtime.settings.max_attempts
    ]


def _without_bytes(item: ClaimedItem, attempts: int = 1) -> Result:
    detail = f"the stored bytes of this picture are gone (tries: {attempts})"
    return Result(item.seq, error_code="fetch_failed", error_detail=detail)


def _record(
    runtime: Runtime, done: Sequence[tuple[Claim, Sequence[Result]]], sha256: str
) -> list[claims.Recorded]:
    with runtime.database.write() as connection:
        recorded, lost = claims.record(connection, done, model_sha256=sha256, at=now())
        if lost:
            counters.count(connection, "fenced", len(lost))
    for held in lost:
        log.warning("chunk %d was taken over: our verdicts are not written", held.chunk_id)
    return recorded


def _hand_back(runtime: Runtime, held: Sequence[Claim], event: str, why: str) -> None:
    def release(claim: Claim) -> None:
        with runtime.database.write() as connection:
            claims.release(connection, claim)
            counters.count(connection, event)

    for claim in held:
        log.error("chunk %d is handed back: %s", claim.chunk_id, why)
        retrying(partial(release, claim))


def _abort(runtime: Runtime, batch_id: str) -> None:
    with runtime.database.write() as connection:
        endings.cancel(connection, batch_id)


def _complete(runtime: Runtime, batch_ids: Sequence[str]) -> None:
    """Ask whether these batches have ended, in a transaction of its own, and tell of the deliveries they owe."""
    with runtime.database.write() as connection:
        completed = [endings.complete(connection, batch_id) for batch_id in sorted(batch_ids)]
    for batch in completed:
        for delivery_id in batch.deliveries if batch else ():
            messages.send(runtime.celery, queues.DELIVER, [delivery_id], queues.WEBHOOKS)


def predict_chunks(
    runtime: Runtime, held: Sequence[Claim], model: LoadedModel
) -> tuple[list[tuple[Claim, list[Result]]], list[Claim]]:
    """A result for each claimed item, from micro-batches that reach over chunks; and the chunks whose pack is gone."""
    done: dict[int, tuple[Claim, list[Result]]] = {}
    missing = []
    with ExitStack() as packs:
        tasks = []
        for claim in held:
            try:
                pack = packs.enter_context(runtime.blobs.open_pack(claim.batch_id, claim.pack))
            except FileNotFoundError:
                missing.append(claim)
                continue
            done[claim.chunk_id] = (claim, [])
            tasks += [(claim, item, pack.fileno()) for item in claim.items]
        waiting: list[tuple[Claim, Decoded]] = []
        for claim, decoded in _decoded(runtime, tasks, model):
            if isinstance(decoded, Result):
                done[claim.chunk_id][1].append(decoded)
                continue
            waiting.append((claim, decoded))
            if len(waiting) == runtime.settings.micro_batch:
                _decide_all(waiting, model, done)
                waiting = []
        if waiting:
            _decide_all(waiting, model, done)
    return list(done.values()), missing


def _decoded(
    runtime: Runtime, tasks: Sequence[tuple[Claim, ClaimedItem, int]], model: LoadedModel
) -> Iterator[tuple[Claim, Decoded | Result]]:
    """Each item's pixels, or why it has none, in order; a task names the open pack."""

    def one(task: tuple[Claim, ClaimedItem, int]) -> tuple[Claim, Decoded | Result]:
        claim, item, pack = task
        data = os.pread(pack, item.length, item.offset)
        if len(data) < item.length:  # cut off by whoever copied the store: not the picture's fault
            return claim, _without_bytes(item)
        return claim, decode_item(item, data, model.artifact.preprocessing, runtime.settings.max_pixels)

    threads = runtime.settings.decode_threads or (8 if model.engine.device.startswith("cuda") else 0)
    if threads == 0:
        yield from map(one, tasks)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(one, tasks)


def _decide_all(
    waiting: Sequence[tuple[Claim, Decoded]],
    model: LoadedModel,
    done: Mapping[int, tuple[Claim, list[Result]]],
) -> None:
    """Infer one micro-batch, and add each picture's result to those of its chunk."""
    started = time.perf_counter()
    logits = predict_or_halve(model.engine, [entry.image for _, entry in waiting])
    infer_ms = 1000 * (time.perf_counter() - started) / len(waiting)
    for (claim, entry), logit in zip(waiting, logits, strict=True):
        done[claim.chunk_id][1].append(_decide(claim, entry, logit, model, infer_ms))


def _decide(claim: Claim, entry: Decoded, logit: float | None, model: LoadedModel, infer_ms: float) -> Result:
    try:
        if logit is None:
            raise ItemError("inference_failed", "the network failed on this picture")
        score = calibrated_score(logit, model.artifact.calibration)
    except (ItemError, ValueError) as error:
        return Result(
            entry.seq, error_code="inference_failed", error_detail=str(error), decode_ms=entry.decode_ms
        )
    point = OperatingPoint(claim.threshold, claim.review_low, claim.review_high)
    return Result(
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
