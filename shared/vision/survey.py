"""Description 4 of an image: grey levels, a sample of the whole, and the steps between neighbours along some rows.

For small images, whose network tells the guard what it sees (shared.vision.net.Shape), but pooled over the whole image:
where it sees it, is left to the steps in each of 4 x 4 tiles. The artifact's guard holds the bounds, so a change here
needs another version.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shared.vision.describe import mean_of, share_of
from shared.vision.sketch import colours, levels_of

Floats = NDArray[np.float32]
_PIXELS = 512  # of the sample: whole rows, every k-th
_TILES = 4
_LEAST = np.float32(0.1)  # grey levels, so that a blank image has a logarithm


def survey(images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Statistics (N, S) and samples (N, P) of images (N, H, W, C), H and W at least 4; S depends on C, P on the size.

    The logarithm of contrast + 1 has the same place among the statistics as in `shared.vision.describe`.
    """
    count, height, width, channels = images.shape
    step = max(2, math.ceil(height * width / _PIXELS))
    some_rows = images[:, step // 2 - 1 : height - 1 : step]
    rows, below = _grey(some_rows), _grey(images[:, step // 2 :: step][:, : some_rows.shape[1]])
    pixels = rows.shape[1]
    # In one run over all images: numpy takes three times as long where it goes from row to row.
    down, across, bends = np.empty_like(rows), np.zeros_like(rows), np.zeros_like(rows)
    np.subtract(below, rows, out=down)
    np.subtract(rows.ravel()[1:], rows.ravel()[:-1], out=across.ravel()[:-1])
    across[:, width - 1 :: width] = 0  # from the end of a row to the next there is no step
    np.subtract(across.ravel()[1:], across.ravel()[:-1], out=bends.ravel()[:-1])
    bends[:, width - 2 :: width] = bends[:, width - 1 :: width] = 0
    steps = pixels // width * (width - 1)
    found = []
    for values, real in ((down, pixels), (across, steps)):
        found += [
            np.sqrt(np.vecdot(values, values) / np.float32(real)),
            (share_of(values, 0) * np.float32(pixels) - np.float32(pixels - real)) / np.float32(real),
        ]
        np.abs(values, out=values)
    np.abs(bends, out=bends)
    tiles = (
        np.concatenate([down @ _tiles(pixels, width, 0), across @ _tiles(pixels, width, 1)], axis=1) + _LEAST
    )
    mean = [tiles[:, : _TILES**2].mean(1), tiles[:, _TILES**2 :].mean(1)]
    levels, sample = levels_of(rows)
    sizes = np.array([*mean, found[0], found[2], mean_of(bends)]) + _LEAST
    logs = np.log(sizes)
    fine = np.array([logs[2] - logs[0], logs[3] - logs[1], logs[4] - logs[1], found[1], found[3]], np.float32)
    all_of_it = [levels, np.log(tiles), fine.T]
    if channels > 1:
        all_of_it.append(colours(some_rows.reshape(count, -1, channels)))
    return np.concatenate(all_of_it, axis=1, dtype=np.float32), sample


def _grey(rows: NDArray[np.uint8]) -> Floats:
    """Means over the channels of (N, h, W, C), as (N, h * W)."""
    grey: Floats = (
        rows.mean(axis=3, dtype=np.float32) if rows.shape[3] > 1 else rows.astype(np.float32, order="C")
    )
    return grey.reshape(len(rows), -1)


@lru_cache(maxsize=16)
def _tiles(pixels: int, width: int, missing: int) -> Floats:
    """The matrix (pixels, 16) that takes means in 4 x 4 tiles, without the last `missing` columns."""
    row, column = np.divmod(np.arange(pixels), width)
    tile = row * _TILES // (pixels // width) * _TILES + column * _TILES // width
    inside = (np.arange(_TILES**2) == tile[:, None]) & (column < width - missing)[:, None]
    return np.asarray(inside / np.maximum(inside.sum(axis=0), 1), np.float32)
