"""The scale of features before a regression learns on them."""

import numpy as np
from numpy.typing import NDArray

# A share of the mean spread. A feature that is silent in nearly all images has a tiny spread. Divided by that, it would
# outweigh all others in the first image where it speaks.
LEAST_SPREAD = 0.1


def scale_of(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The divisor (F,) of each of features (N, F): its spread, or a share of the mean spread where that is more. It is
    infinite for a constant feature, which says nothing."""
    spread = features.std(0)
    least = LEAST_SPREAD * float(spread.mean())
    return np.where(spread > 1e-6, np.maximum(spread, least), np.inf).astype(np.float32)
