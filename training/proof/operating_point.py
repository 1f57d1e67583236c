"""Threshold and review band, from what mistakes cost or from a target; always on the validation part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint


@dataclass(frozen=True)
class Costs:
    """The cost of an escape, of a false reject and of a look by a person, all in the same unit.

    With `max_escape_rate` set, the threshold is the highest that keeps validation escapes at or under that
    rate.
    """

    escape: float = 1.0
    reject: float = 1.0
    review: float = 0.2
    max_escape_rate: float | None = None


def choose(p: NDArray[np.float64], labels: NDArray[np.int64], costs: Costs) -> OperatingPoint:
    """Scores p (N,) of the validation part, calibrated on it; labels (N,) 1 = defect.

    By cost the answer follows from the meaning of a calibrated score, with nothing left to fit: calling a
    defect costs (1 - score) * reject, letting it pass costs score * escape, asking costs review. A threshold
    searched on a few hundred images would follow those images instead.
    """
    if costs.max_escape_rate is None:
        threshold = costs.reject / (costs.reject + costs.escape)
    else:
        defects = np.sort(p[labels == 1])
        allowed = int(costs.max_escape_rate * len(defects))
        threshold = float(defects[allowed]) if allowed < len(defects) else 0.5
    low, high = costs.review / costs.escape, 1 - costs.review / costs.reject
    low, high = min(low, threshold), max(high, threshold)
    return OperatingPoint(threshold=threshold, review_low=max(0.0, low), review_high=min(1.0, high))
