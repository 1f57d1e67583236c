"""The operating point of a model that has learned good parts alone."""

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Calibration

# Shares of good parts that were not learned: called a defect; and called a defect or handed to a person.
FALSE_REJECTS, REVIEWED = 0.01, 0.05


def good_point(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Calibration, OperatingPoint]:
    """The threshold where FALSE_REJECTS of good images lie above, and a band below it down to where REVIEWED do.

    Defects, where the validation part has some, move the band's lower end down to the lowest of them, as far as at
    most a fifth of the good images lies in it. The score orders images and is no probability.
    """
    values = logits.astype(np.float64)
    good = values[labels == 0]
    low = tail(good, REVIEWED)
    if (labels == 1).any():
        low = max(min(low, float(values[labels == 1].min())), float(np.quantile(good, 0.8)))
    return Calibration(1.0, 0.0), OperatingPoint(0.5, min(0.5, 1 / (1 + float(np.exp(-low)))), 0.5)


def tail(values: NDArray[np.float64], share: float) -> float:
    """The value that `share` of such values exceed, by the exponential tail of their upper fifth: few values show
    none that lies so far out."""
    start = float(np.quantile(values, 0.8))
    excess = float(np.maximum(values[values >= start] - start, 0).mean())
    return start + excess * float(np.log(0.2 / share))
