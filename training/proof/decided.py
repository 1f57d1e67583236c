"""Calibration and operating point of a trained network, and the scores that they give to both held-out parts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Calibration
from shared.vision.decision import calibrated_score
from shared.vision.graph import Graph
from training.proof.calibrate import (
    CROSSED_OFFSET,
    PRIOR_OFFSET,
    at_prevalence,
    fit_calibration,
    moved,
    scores,
)
from training.proof.crossed import cross_calibrated
from training.proof.evaluate import logits_of
from training.proof.good_point import good_point
from training.proof.operating_point import boundary, choose, promised
from training.trained import Trained

PLAIN = Calibration(1.0, 0.0)


@dataclass(frozen=True)
class Decided:
    """Scores (N,) of the validation and of the test part; `plain` are those of the test part before calibration."""

    calibration: Calibration
    point: OperatingPoint
    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    plain: NDArray[np.float64]


def decided(trained: Trained, graph: Graph) -> Decided:
    """Decide on the validation part, and a promise's bound on parts of its own, then score the test part. Raises
    DataError for a promise that can't be made."""
    part, options = trained.validation, trained.options
    logits = logits_of(graph, part.images) if trained.held_out is None else trained.held_out
    centre, expected = 0.0, None
    if trained.shape.kind == "mean":  # gives log odds less the boundary, which lack nothing else
        centre, expected = boundary(options.costs, part.labels), 0.0
    odds, plain = logits + np.float32(centre), moved(PLAIN, centre)
    if options.preset == "original":
        calibration, point = PLAIN, OperatingPoint(0.5, 0.5, 0.5)
    elif trained.shape.kind == "patches":
        calibration, point = good_point(logits, part.labels, part.groups)
    else:
        spread = PRIOR_OFFSET if trained.fold_of is None else CROSSED_OFFSET
        calibration = fit_calibration(odds, part.labels, part.groups, spread=spread, expected=expected)
        calibration = at_prevalence(moved(calibration, centre), part.labels, options.costs.prevalence)
        bound = _bound(trained, graph, calibration)
        point = choose(scores(logits, calibration), part.labels, options.costs, bound)
    if trained.fold_of is not None:
        p = cross_calibrated(odds, part, trained.fold_of, options.costs.prevalence, expected=expected)
    else:
        p = scores(logits, calibration)
    if trained.tests_itself:
        return Decided(calibration, point, p, p, scores(logits, plain))
    tested = logits_of(graph, trained.test.images)
    return Decided(calibration, point, p, scores(tested, calibration), scores(tested, plain))


def _bound(trained: Trained, graph: Graph, calibration: Calibration) -> float | None:
    """The bound of the promise, by the arithmetic that serves; None without a promise."""
    part = trained.proof
    if part is None:
        return None
    p = [calibrated_score(float(logit), calibration) for logit in logits_of(graph, part.images)]
    return promised(np.array(p), part.groups, trained.options.costs)
