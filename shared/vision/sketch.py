"""Description 3 of an image: its grey levels and a small sample of the whole, a few numpy calls a micro-batch.

Edges, texture and noise are left to the network's own trace (shared.vision.net.Shape), which sees them at every place
and costs nothing more. The artifact's guard holds the bounds, so a change here needs another version.
"""

import math

import numpy as np
from numpy.typing import NDArray

from shared.vision.arrays import Array

Floats = NDArray[np.float32]
_WHOLE, _PIXELS = 1024, 256  # images up to the first are the sample, else at most the second of their pixels
_SORTED = 256
_SHARES = np.array((0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0))


def sketch(images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Statistics (N, S) and samples (N, P) of images (N, H, W, C); S depends on C, P on the size.

    The logarithm of contrast + 1 has the same place among the statistics as in `shared.vision.describe`.
    """
    count, height, width, channels = images.shape
    step = 1 if height * width <= _WHOLE else math.ceil(math.sqrt(height * width / _PIXELS))
    picked = images[:, step // 2 :: step, step // 2 :: step]
    grey: Floats = picked.mean(axis=3, dtype=np.float32) if channels > 1 else picked.astype(np.float32)
    levels, sample = levels_of(grey.reshape(count, -1))
    found = [levels]
    if channels > 1:
        found.append(colours(picked.reshape(count, -1, channels)))
    return np.concatenate(found, axis=1, dtype=np.float32), sample


def levels_of(grey: Floats) -> tuple[Floats, Floats]:
    """Levels, contrast, spread and mean (N, 12) of pixels (N, n), and the pixels freed of mean and contrast (N, n)."""
    length = grey.shape[1]
    mean = grey @ np.full(length, 1 / length, np.float32)
    sample = grey - mean[:, None]
    spread = np.sqrt(np.vecdot(sample, sample) / np.float32(length))
    sample /= (spread + np.float32(3))[:, None]  # so that noise alone is not blown up
    some = np.sort(grey[:, :: -(-length // _SORTED)], axis=1)
    levels = some[:, ((some.shape[1] - 1) * _SHARES).astype(int)]
    more = np.stack([levels[:, 7] - levels[:, 1] + 1, spread + np.float32(0.5), mean + 5], axis=1)
    return np.concatenate([levels, np.log(more)], axis=1, dtype=np.float32), sample


def colours(pixels: Array) -> Floats:
    """Means of red less green and of green less blue, and the logarithms of their mean sizes, of pixels (N, n, 3)."""
    apart = np.diff(pixels.astype(np.float32), axis=2)
    return np.concatenate([apart.mean(axis=1), np.log(np.abs(apart).mean(axis=1) + 0.5)], axis=1)
