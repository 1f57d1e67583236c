"""How often a promise fails: the same scores split again and again into parts that choose and a whole that tells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.proof.bounds import cases_needed, misses_allowed
from training.proof.mapie import bound_by_mapie, is_installed

RESPLITS = 1000
_CHECKED = 20  # of them by MAPIE as well, which takes 1,000 times as long


@dataclass(frozen=True)
class Resplits:
    """`fails` is the share of the resplits in which more parts escape than was promised; None: too few parts.

    `confirmed` is the share of the bounds that MAPIE confirms: its own is the same or, by its rounding, the next lower
    score. None where MAPIE is not installed.
    """

    rate: float
    parts: int
    chosen_on: int
    needed: int
    fails: float | None
    review: float | None
    confirmed: float | None = None


def resplit(
    p: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    rate: float,
    confidence: float = 0.95,
    seed: int = 0,
) -> Resplits:
    """Draw half of the defective parts RESPLITS times, promise on them, and count escapes among all of them.

    `review` is the mean share of good images at or above the promised bound: these go to a person or are called
    defects.
    """
    defect = labels == 1
    lowest = np.array([p[(groups == group) & defect].min() for group in np.unique(groups[defect])])
    count = len(lowest) // 2
    allowed = misses_allowed(count, rate, confidence)
    needed = cases_needed(rate, confidence)
    if allowed is None:
        return Resplits(rate, len(lowest), count, needed, None, None)
    rng = np.random.default_rng(seed)
    fails, asked = 0, 0.0
    confirmed = []
    for number in range(RESPLITS):
        chosen = np.sort(lowest[rng.permutation(len(lowest))[:count]])
        bound = chosen[allowed]
        if number < _CHECKED and is_installed():
            theirs = bound_by_mapie(chosen, rate, confidence)
            confirmed.append(theirs in (bound, chosen[max(0, allowed - 1)]))
        fails += float((lowest < bound).mean()) > rate
        asked += float((p[~defect] >= bound).mean())
    share = float(np.mean(confirmed)) if confirmed else None
    return Resplits(rate, len(lowest), count, needed, fails / RESPLITS, asked / RESPLITS, share)
