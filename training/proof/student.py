"""Quantiles of Student's t, which no library of a training has."""

import numpy as np


def student(share: float, freedom: float) -> float:
    """The value that `share` of a Student's t with `freedom` degrees exceeds, 1 or more.

    For t = sqrt(freedom) tan(angle), the density over the angle is a power of its cosine.
    """
    angles = np.linspace(-np.pi / 2, np.pi / 2, 20_001)
    density = np.cos(angles).clip(min=0) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return float(np.sqrt(freedom) * np.tan(np.interp(1 - share, below / below[-1], angles)))
