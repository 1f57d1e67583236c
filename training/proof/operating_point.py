"""Threshold and review band, from the costs of mistakes, and the bound of a promise; on images that training did not
see."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from training.data.records import DataError, Record
from training.proof.bounds import cases_needed, misses_allowed
from training.proof.calibrate import log_odds, prevalence_shift
from training.proof.line import shares

Floats = NDArray[np.float64]

_NEAREST = 1e-9  # to 0 and to 1, that a threshold is taken for in log odds


@dataclass(frozen=True)
class Costs:
    """The cost of an escape, of a false reject and of a look by a person, all in the same unit.

    `max_escape_rate` is a promise at `confidence`: of the defective parts that the model never saw, at most this share
    has an image that shows the defect and gets the verdict `no_defect`. `prevalence` is the share of defects among the
    parts to be judged, where it is another than that of the labelled images. Raises ValueError for values that mean
    nothing.
    """

    escape: float = 10.0
    reject: float = 1.0
    review: float = 0.2
    max_escape_rate: float | None = None
    confidence: float = 0.95
    prevalence: float | None = None

    def __post_init__(self) -> None:
        costs = (self.escape, self.reject, self.review)
        if not all(math.isfinite(cost) and cost >= 0 for cost in costs) or self.escape + self.reject == 0:
            raise ValueError("costs are 0 or more, and an escape or a false reject costs something")
        if self.max_escape_rate is not None and not 0 < self.max_escape_rate < 1:
            raise ValueError("the most escapes lie between 0 and 100 %")
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ValueError("the prevalence lies between 0 and 100 %")
        if not 0 < self.confidence < 1:
            raise ValueError("the confidence lies between 0 and 100 %")

    @property
    def threshold(self) -> float:
        """The score from which calling a defect costs less than letting it pass."""
        return self.reject / (self.reject + self.escape)


def choose(p: Floats, labels: NDArray[np.int64], costs: Costs, bound: float | None = None) -> OperatingPoint:
    """Calibrated scores p (N,) that training did not see; labels (N,) 1 = defect; `bound` is that of a promise, below
    which alone an image gets `no_defect`.

    The threshold follows from the meaning of a calibrated score: calling a defect costs (1 - score) * reject,
    letting it pass costs score * escape.
    """
    threshold = costs.threshold
    if bound is not None:
        threshold = max(threshold, bound)
    low = _low(p, labels, costs, threshold) if bound is None else bound
    return OperatingPoint(threshold, low, _high(p, labels, costs, threshold))


def boundary(costs: Costs, labels: NDArray[np.int64]) -> float:
    """The threshold that the costs alone give, as log odds of a defect among images with the labels' share of defects.

    These are the log odds before `at_prevalence` moves them. Finite, also where a mistake costs nothing.
    """
    threshold = min(max(costs.threshold, _NEAREST), 1 - _NEAREST)
    return log_odds(threshold) - prevalence_shift(labels, costs.prevalence)


def promised(p: Floats, groups: NDArray[np.int64], costs: Costs) -> float:
    """The largest score below which so few defective parts lie that the promise holds; scores p (N,) of the defective
    images of parts that chose nothing else, groups (N,) number the parts. Raises DataError for too few.

    A part counts as missed where its lowest score is missed. The k-th lowest of n such scores cuts off a share of
    all parts that is distributed as Beta(k, n + 1 - k), whatever the scores are, so the bound holds although these
    parts chose it. It would not hold if they had chosen the scores too: the best of many epochs is the one that
    happens to miss none of them.
    """
    assert costs.max_escape_rate is not None
    lowest = np.sort([p[groups == group].min() for group in np.unique(groups)])
    allowed = misses_allowed(len(lowest), costs.max_escape_rate, costs.confidence)
    if allowed is None:
        raise DataError(_too_few(len(lowest), costs))
    return float(lowest[allowed])


def check_promise(unseen: Sequence[Record], costs: Costs) -> None:
    """Raise DataError before a training whose promise these records, which it will not see, can't support."""
    if costs.max_escape_rate is None:
        return
    parts = defective_parts(unseen)
    if misses_allowed(parts, costs.max_escape_rate, costs.confidence) is None:
        raise DataError(_too_few(parts, costs))


def defective_parts(records: Sequence[Record]) -> int:
    """How many parts have a defective image."""
    return len({record.group or str(record.path) for record in records if record.label})


def promise_text(costs: Costs) -> str:
    """The promise and the parts that prove it."""
    assert costs.max_escape_rate is not None
    return (
        f"at most {costs.max_escape_rate:.2%} escapes at {costs.confidence:.0%} confidence needs "
        f"{cases_needed(costs.max_escape_rate, costs.confidence)} defective parts that training does not see, with "
        "none missed"
    )


def _too_few(parts: int, costs: Costs) -> str:
    assert costs.max_escape_rate is not None
    needed = cases_needed(costs.max_escape_rate, costs.confidence)
    return f"{promise_text(costs)}; here are {parts}: {needed - parts} more are needed"


def _low(p: Floats, labels: NDArray[np.int64], costs: Costs, threshold: float) -> float:
    """The score from which asking is cheaper than letting pass."""
    below = p < threshold
    share = shares(labels, costs.prevalence)[below]
    return threshold - _cheapest(
        threshold - p[below], p[below], labels[below], share, costs.escape, costs.review
    )


def _high(p: Floats, labels: NDArray[np.int64], costs: Costs, threshold: float) -> float:
    """The score up to which asking is cheaper than calling a defect."""
    above = p >= threshold
    return threshold + _cheapest(
        p[above] - threshold,
        1 - p[above],
        1 - labels[above],
        shares(labels, costs.prevalence)[above],
        costs.reject,
        costs.review,
    )


def _cheapest(
    distance: Floats,
    chance: Floats,
    wrong: NDArray[np.int64],
    share: Floats,
    mistake: float,
    review: float,
) -> float:
    """The distance from the threshold within which images are reviewed at the least cost.

    A mistake counts half as its score foretells it and half as it was seen: few images would else be followed
    wherever they happen to lie.
    """
    order = np.argsort(-distance, kind="stable")  # the farthest first: these are decided without a look
    decided = np.concatenate([[0.0], np.cumsum(mistake * share[order] * (chance[order] + wrong[order]) / 2)])
    looked_at = review * (share.sum() - np.concatenate([[0.0], np.cumsum(share[order])]))
    count = int(np.flatnonzero(decided + looked_at <= (decided + looked_at).min() + 1e-12)[-1])
    return 0.0 if count == len(order) else float(distance[order[count]])
