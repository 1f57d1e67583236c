"""Scale and offset that make the score a probability, fitted on the validation part.

Few groups prove little: with only a handful of parts in the validation part, a freely fitted offset follows
the parts that happen to be there, and parts never seen pay for it. So the groups of a label count alike, whatever their
numbers of images, and a prior (the offset to expect, no scaling) holds until enough groups speak against it. The labels
keep the shares that their images have: a set with many flawed and few good parts would else call a good part that
it never saw a defect.
"""

import math

import numpy as np
from numpy.typing import NDArray

from shared.registry.artifact import Calibration

# Standard deviation of the offset about the expected one, in logits. With a dozen known parts, a part that was left out
# is judged better the smaller this is, down to a quarter.
PRIOR_OFFSET = 0.25
# The same where every part of a set was judged by a model that had not seen it: there are more of them, and they show
# how far a new part may lie.
CROSSED_OFFSET = 1.0
PRIOR_LOG_SCALE = 0.7  # standard deviation of the scale, in powers of e
_STEPS = 60
BINS = 15  # of the calibration error


def fit_calibration(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    spread: float = PRIOR_OFFSET,
    expected: float | None = None,
) -> Calibration:
    """Labels 1 = defect; groups number the parts; `spread` is the prior's, of the offset about the `expected` one, by
    default `_natural`. Logits that are log odds already expect another. A single Newton search; needs at least one
    image."""
    weight = _weights(labels, groups)
    x, y = logits.astype(np.float64), labels.astype(np.float64)
    natural = _natural(labels) if expected is None else expected
    log_scale, offset = 0.0, natural

    def loss(log_scale: float, offset: float) -> float:
        z = math.exp(log_scale) * x + offset
        picture = np.logaddexp(0, z) - y * z
        prior = (log_scale / PRIOR_LOG_SCALE) ** 2 / 2 + ((offset - natural) / spread) ** 2 / 2
        return float((weight * picture).sum() + prior)

    best = loss(log_scale, offset)
    for _ in range(_STEPS):
        scaled = math.exp(log_scale) * x
        p = 1 / (1 + np.exp(-np.clip(scaled + offset, -40, 40)))
        error, slope = weight * (p - y), weight * p * (1 - p)
        gradient = np.array(
            [
                (error * scaled).sum() + log_scale / PRIOR_LOG_SCALE**2,
                error.sum() + (offset - natural) / spread**2,
            ]
        )
        # Gauss-Newton: always positive, so every step goes down.
        across = (slope * scaled).sum()
        curvature = np.array(
            [
                [(slope * scaled**2).sum() + PRIOR_LOG_SCALE**-2, across],
                [across, slope.sum() + spread**-2],
            ]
        )
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and loss(log_scale - size * step[0], offset - size * step[1]) > best:
            size /= 2
        log_scale, offset = log_scale - size * float(step[0]), offset - size * float(step[1])
        reached = loss(log_scale, offset)
        if best - reached < 1e-9:
            break
        best = reached
    return Calibration(scale=math.exp(log_scale), offset=offset)


def _natural(labels: NDArray[np.int64]) -> float:
    """The offset to expect: training weighs each class by the root of its number, so that the logits lack half of
    the odds that the set has. Zero where both labels are as many, or one is absent."""
    defects = int(labels.sum())
    goods = len(labels) - defects
    return 0.5 * math.log(defects / goods) if defects and goods else 0.0


def moved(calibration: Calibration, centre: float) -> Calibration:
    """The calibration for logits less `centre` that gives the scores of `calibration`, which is for whole ones."""
    return Calibration(calibration.scale, calibration.offset + calibration.scale * centre)


def at_prevalence(
    calibration: Calibration, labels: NDArray[np.int64], prevalence: float | None
) -> Calibration:
    """The calibration for parts of which the share `prevalence` is defective, from one for the labels' own share."""
    return Calibration(calibration.scale, calibration.offset + prevalence_shift(labels, prevalence))


def log_odds(share: float) -> float:
    """The log odds of a share or a score between 0 and 1."""
    return math.log(share / (1 - share))


def prevalence_shift(labels: NDArray[np.int64], prevalence: float | None) -> float:
    """By how much the log odds of a defect change from the labels' own share to `prevalence`; 0 where none is stated,
    or one label is absent."""
    defects = int(labels.sum())
    if prevalence is None or not 0 < defects < len(labels):
        return 0.0
    return log_odds(prevalence) - math.log(defects / (len(labels) - defects))


def _weights(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums to the number of groups, each label in its share of images, spread evenly over its groups."""
    alike = 1.0 / np.bincount(groups)[groups]
    total = alike.sum()
    for label in (0, 1):
        inside = labels == label
        if inside.any():
            alike[inside] *= inside.mean() * total / alike[inside].sum()
    return np.asarray(alike)


def scores(logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float64]:
    """Many scores at once; the same numbers as shared.vision.decision.calibrated_score within rounding."""
    z = calibration.scale * logits.astype(np.float64) + calibration.offset
    return np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))))


def expected_calibration_error(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """ECE: mean distance between score and share of defects over bins of equal width, weighted by count."""
    place = bins_of(p)
    total = 0.0
    for i in range(BINS):
        inside = place == i
        if inside.any():
            total += inside.sum() * abs(float(p[inside].mean()) - float(labels[inside].mean()))
    return total / len(p)


def bins_of(p: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each score."""
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)
