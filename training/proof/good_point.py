"""The operating point of a model that has learned good parts alone."""

import math

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Calibration
from training.fit.part import Part
from training.proof.student import student

# Shares of images of good parts that were not learned: called a defect; and called a defect or handed to a person.
FALSE_REJECTS, REVIEWED = 0.01, 0.05
_MOST_REVIEWED = 0.2  # where defects move the band


def good_point(
    logits: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> tuple[Calibration, OperatingPoint]:
    """The threshold where FALSE_REJECTS of good images lie above, and a band below it down to where REVIEWED do.

    Defects, where the validation part has some, move the band's lower end down to the lowest of them, as far as at
    most a fifth of the good images lies in it. The score orders images and is no probability.
    """
    values, good = logits.astype(np.float64), labels == 0
    low = exceeded(values[good], groups[good], REVIEWED)
    if not good.all():
        low = max(min(low, float(values[~good].min())), float(np.quantile(values[good], 1 - _MOST_REVIEWED)))
    return Calibration(1.0, 0.0), OperatingPoint(0.5, min(0.5, 1 / (1 + math.exp(min(-low, 700.0)))), 0.5)


def exceeded(values: NDArray[np.float64], groups: NDArray[np.int64], share: float) -> float:
    """The value (of N) that `share` of the images of parts never seen exceed.

    The tail of the images tells it where they show many parts. A new part may lie farther out than a few others: by
    Student's t over the means of their groups.
    """
    _, place = np.unique(groups, return_inverse=True)
    means = np.bincount(place, values) / np.bincount(place)
    count = len(means)
    if count < 2:
        return tail(values, share)
    reach = student(share, count - 1) * math.sqrt(1 + 1 / count)
    return max(tail(values, share), float(means.mean() + reach * means.std(ddof=1)))


def tail(values: NDArray[np.float64], share: float) -> float:
    """The value that `share` of such values exceed, by the exponential tail of their upper fifth: few values show
    none that lies so far out."""
    start = float(np.quantile(values, 0.8))
    excess = float(np.maximum(values[values >= start] - start, 0).mean())
    return start + excess * float(np.log(0.2 / share))


def in_words(validation: Part) -> str:
    """How the point was set, for a card, and the rate that the groups of good images support."""
    groups = len(np.unique(validation.groups[validation.labels == 0]))
    more = f" (up to {_MOST_REVIEWED:.0%} where known defects lie lower)" if validation.labels.any() else ""
    words = (
        f"{FALSE_REJECTS:.0%} of the images of good parts shall be called defects, and {REVIEWED:.0%}{more} shall "
        "be so or go to a person"
    )
    if (supported := 1 / (groups + 1)) > FALSE_REJECTS:
        words += f"; set by {groups} groups of good images, which support no rate below {supported:.0%}"
    return words
