"""The scale of features before a regression learns on them."""

import numpy as np
from numpy.typing import NDArray

# Of the mean spread. A feature that is silent in nearly all of few images has a tiny spread, and divided by that it
# would outweigh all others in the first image where it speaks.
LEAST_SPREAD = 0.1


def scale_of(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each of features (N, F) is divided by (F,); infinity for a constant one, which says nothing."""
    spread = features.std(0)
    least = LEAST_SPREAD * float(spread.mean())
    return np.where(spread > 1e-6, np.maximum(spread, least), np.inf).astype(np.float32)
