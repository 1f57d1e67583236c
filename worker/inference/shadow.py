"""Spare work: a candidate scores images that have their verdict, one after the other, while no verdict waits."""

import logging
import time

from shared import failpoints
from shared.errors import ArtifactError, ItemError
from shared.lifecycle import shadows
from shared.lifecycle.shadows import Scored, Stored, Taken
from shared.vision.accepted import Limits, limits_of
from shared.vision.decision import calibrated_score, decide
from shared.vision.preprocess import decode
from worker.inference.loaded import LoadedModel
from worker.inference.predict import predict_or_halve
from worker.inference.runtime import Runtime

_TURN_S = 0.5  # then other messages of the queue get their turn
log = logging.getLogger(__name__)


def score_some(runtime: Runtime, seconds: float = _TURN_S) -> bool:
    """Score images for shadows until a verdict waits or the time is over; True if images are left to score.

    Safe to repeat and to lose: no state of an item or batch changes here.
    """
    until = time.monotonic() + seconds
    while True:
        if _verdict_waits(runtime):
            return False  # the sweep asks again
        with runtime.database.read() as connection:
            if not shadows.waits(connection):
                return False
        if time.monotonic() > until:
            return True
        with runtime.database.write() as connection:
            taken = shadows.take(connection)
        if taken is not None and taken.items:
            _score(runtime, taken)


def _verdict_waits(runtime: Runtime) -> bool:
    with runtime.database.read() as connection:
        return shadows.verdict_waits(connection, runtime.who.host)


def _score(runtime: Runtime, taken: Taken) -> None:
    failpoints.hit("worker.shadow")
    try:
        model = runtime.candidates.get(taken.candidate_id)
    except ArtifactError as error:
        log.error("the candidate %s can't be loaded: %s", taken.candidate_id, error.detail)
        return
    limits, scores = limits_of(runtime.settings), list[Scored]()
    left = None  # the place of the first image that has to be given back
    for item in taken.items:
        if _verdict_waits(runtime):
            left = item.seq
            break
        if score := _score_of(runtime, taken, item, model, limits):
            scores.append(score)
    with runtime.database.write() as connection:
        if left is not None:
            shadows.give_back(connection, taken, left)
        shadows.keep(connection, taken, scores)


def _score_of(
    runtime: Runtime, taken: Taken, item: Stored, model: LoadedModel, limits: Limits
) -> Scored | None:
    """The candidate's score; None where it cannot judge the image, or the bytes have gone."""
    try:
        data = runtime.blobs.read(taken.batch_id, item.pack, item.offset, item.length)
        image = decode(data, model.artifact.preprocessing, limits, item.frame)
        (prediction,) = predict_or_halve(model, [image])
        if prediction is None:
            return None
        score = calibrated_score(prediction.logit, model.artifact.calibration)
    except (ItemError, OSError, ValueError, MemoryError) as error:
        log.info("no shadow score of item %d of %s: %s", item.seq, taken.batch_id, error)
        return None
    verdict = decide(score, model.artifact.operating_point, prediction.unlike)
    return Scored(item.seq, verdict.value, score)
