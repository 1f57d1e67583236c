"""Claimed chunks to results: decode items, predict them in micro-batches that reach over chunks, decide."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from shared import failpoints
from shared.lifecycle.claims import Claim, ClaimedItem
from shared.lifecycle.verdicts import Result
from shared.vision.accepted import limits_of
from worker.inference.decide import decide_item
from worker.inference.decode import Decoded, decode_item
from worker.inference.known import Known
from worker.inference.loaded import LoadedModel, Prediction
from worker.inference.missing import without_bytes
from worker.inference.runtime import Runtime

_CUDA_DECODE_THREADS = 8  # so that decoding keeps up with the GPU
_Task = tuple[Claim, ClaimedItem, int]  # the last is the descriptor of the open pack
_Done = dict[int, tuple[Claim, list[Result]]]
log = logging.getLogger(__name__)


def predict_chunks(
    runtime: Runtime, held: Sequence[Claim], model: LoadedModel, known: Known
) -> tuple[list[tuple[Claim, list[Result]]], list[Claim]]:
    """A result for each claimed item, and the chunks whose pack is gone. An item with a known result is not read."""
    done: _Done = {}
    missing = []
    with ExitStack() as packs:
        tasks: list[_Task] = []
        for claim in held:
            results = known.get(claim.chunk_id, [])
            has_result = {result.seq for result in results}
            unknown = [item for item in claim.items if item.seq not in has_result]
            if not unknown:
                done[claim.chunk_id] = (claim, results)
                continue
            try:
                pack = packs.enter_context(runtime.blobs.open_pack(claim.batch_id, claim.pack))
            except FileNotFoundError:
                missing.append(claim)
                continue
            done[claim.chunk_id] = (claim, results)
            tasks += [(claim, item, pack.fileno()) for item in unknown]
        waiting: list[tuple[Claim, Decoded]] = []
        for claim, decoded in _decoded(runtime, tasks, model):
            if isinstance(decoded, Result):
                done[claim.chunk_id][1].append(decoded)
                continue
            waiting.append((claim, decoded))
            if len(waiting) == model.together:
                _decide_all(waiting, model, done)
                waiting = []
        if waiting:
            _decide_all(waiting, model, done)
    return list(done.values()), missing


def _decoded(
    runtime: Runtime, tasks: Sequence[_Task], model: LoadedModel
) -> Iterator[tuple[Claim, Decoded | Result]]:
    """Each item's pixels, or its failed result, in order."""

    limits = limits_of(runtime.settings)

    def one(task: _Task) -> tuple[Claim, Decoded | Result]:
        claim, item, pack = task
        data = os.pread(pack, item.length, item.offset)
        if len(data) < item.length:  # an incomplete copy of the store: not the image's fault
            return claim, without_bytes(item)
        with runtime.watchdog.item(claim, item.seq):
            return claim, decode_item(item, data, model.artifact.preprocessing, limits)

    on_cuda = model.engine.device.startswith("cuda")
    threads = runtime.settings.decode_threads or (_CUDA_DECODE_THREADS if on_cuda else 0)
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
    """Predict some micro-batches, and add each item's result to those of its chunk."""
    started = time.perf_counter()
    predictions = predict_or_halve(model, [image.image for _, image in waiting])
    infer_ms = 1000 * (time.perf_counter() - started) / len(waiting)
    for (claim, image), prediction in zip(waiting, predictions, strict=True):
        done[claim.chunk_id][1].append(decide_item(claim, image, prediction, model, infer_ms))


def predict_or_halve(model: LoadedModel, images: list[NDArray[np.uint8]]) -> list[Prediction | None]:
    """A prediction for each image, None for one on which the network fails alone.

    Out of memory halves the images, and so does any other error, until the image that causes it is alone: its
    neighbours keep their verdicts.
    """
    try:
        failpoints.hit("worker.predict")
        return list(model.predict(np.stack(images)))
    except Exception as error:
        log.warning("%d images failed: %s: %s", len(images), type(error).__name__, error)
        if len(images) == 1:
            return [None]
    middle = len(images) // 2
    return predict_or_halve(model, images[:middle]) + predict_or_halve(model, images[middle:])
