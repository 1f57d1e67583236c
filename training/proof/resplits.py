"""How often a promise fails: the same scores split again and again into parts that choose and a whole that tells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.proof.bounds import cases_needed, misses_allowed

RESPLITS = 1000


@dataclass(frozen=True)
class Resplits:
    """`fails` is the share of the resplits in which more parts escape than was promised; None: too few parts."""

    rate: float
    parts: int
    chosen_on: int
    needed: int
    fails: float | None
    review: float | None


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
    for _ in range(RESPLITS):
        bound = np.sort(lowest[rng.permutation(len(lowest))[:count]])[allowed]
        fails += float((lowest < bound).mean()) > rate
        asked += float((p[~defect] >= bound).mean())
    return Resplits(rate, len(lowest), count, needed, fails / RESPLITS, asked / RESPLITS)
