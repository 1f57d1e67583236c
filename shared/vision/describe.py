"""A few hundred numbers about an image's pixels, cheap enough to take from every image that is judged.

Three groups: statistics along a few rows and columns (brightness, contrast, gradients at up to four distances, noise,
saturated pixels), the strength of the gradients in each of 4 x 4 tiles, and a small sample of the whole image without
its mean and contrast. The artifact's guard holds the bounds for them, so a change here needs another VERSION.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shared.vision.arrays import Array

VERSION = 2
_LINES = 4  # rows, and as many columns: gradients need neighbouring pixels, but not all of them
# Pixels between the two ends of a gradient, from noise and sharpness to shading. Second differences, which cost as
# much again, are taken at the second group only, and fewer of both along the columns.
_ALONG_ROWS = (1, 2, 4, 8), (1, 4)
_ALONG_COLUMNS = (1, 4), (1,)
_TILES = 4
_SORTED = 256
_WHOLE, _SAMPLE = (
    1024,
    500,
)  # pixels: up to the first all of them are the sample, else at most about the second
_SHARES = (0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0)
CONTRAST = len(_SHARES)  # the place of the logarithm of contrast + 1 among the statistics

Floats = NDArray[np.float32]


def describe(images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Statistics (N, S) and samples (N, P) of images (N, H, W, C); S depends on the size and on C, P on the size."""
    count, height, width, channels = images.shape
    down, across = max(1, height // _LINES), max(1, width // _LINES)
    some_rows = images[:, down // 2 :: down]
    # Lines lie side by side, (N, length, lines): a shift along them is then one contiguous run of memory.
    rows = np.ascontiguousarray(_grey(some_rows).transpose(0, 2, 1))
    columns = _grey(images[:, :, across // 2 :: across])
    flat = rows.reshape(count, -1)
    found = [*_levels(flat), np.sqrt(share_of(flat, 0)), np.sqrt(share_of(flat, 255))]
    tiles = []
    for lines, steps in ((rows, _ALONG_ROWS), (columns, _ALONG_COLUMNS)):
        steepness, still, numbers = _gradients(lines, *steps)
        tiles.append(steepness)
        found += [*numbers, still]
    # The tiles of the rows lie on their side.
    tiles[0] = tiles[0].reshape(count, _TILES, _TILES).transpose(0, 2, 1).reshape(count, -1)
    found += list(np.sort(np.log((tiles[0] + tiles[1]) / 2 + 0.1), axis=1)[:, [0, 4, 8, 12, 15]].T)
    if channels > 1:
        found += _colours(some_rows[:, :, ::3])
    both = [np.array(found, np.float32).T, np.log(tiles[0] + 0.1), np.log(tiles[1] + 0.1)]
    return np.concatenate(both, axis=1, dtype=np.float32), _sample(images)


def _grey(pixels: NDArray[np.uint8]) -> Floats:
    """Means over the channels, (N, h, w)."""
    if pixels.shape[3] == 1:
        return pixels[..., 0].astype(np.float32)
    return np.asarray(pixels.mean(axis=3, dtype=np.float32))


def mean_of(values: Array) -> Floats:
    """Means of the rows of float32 (N, n), as a product: a third of the time of `mean`."""
    length = values.shape[1]
    return np.asarray(values @ np.full(length, 1 / length, np.float32))


def share_of(values: Floats, level: float) -> Floats:
    """The share of (N, n) that equals `level`, (N,)."""
    equal = np.empty_like(values)
    np.equal(values, np.float32(level), out=equal, casting="unsafe")
    return mean_of(equal)


def _levels(flat: Floats) -> list[Floats]:
    """Grey levels at fixed shares, contrast and mean of pixels (N, n)."""
    picked = np.sort(flat[:, :: max(1, flat.shape[1] // _SORTED)], axis=1)
    last = picked.shape[1] - 1
    levels = [picked[:, int(last * share)] for share in _SHARES]
    contrast = np.log(levels[7] - levels[1] + 1)
    centred = picked - mean_of(picked)[:, None]
    spread = np.sqrt(np.vecdot(centred, centred) / np.float32(last + 1))
    return [*levels, contrast, np.log(spread + np.float32(0.5)), np.log(mean_of(flat) + np.float32(5))]


def _gradients(
    lines: Floats, steps: tuple[int, ...], twice: tuple[int, ...]
) -> tuple[Floats, Floats, list[Floats]]:
    """Gradients along the first axis of lines (N, n, L).

    Returns the mean step between neighbours in 4 x 4 tiles (N, 16), the share of neighbours that are equal (screens
    and fills have no noise), and for each of `steps` the size and the spread of first differences, and of second ones
    for those in `twice`: they tell edges, slopes, texture and noise apart.
    """
    count, length, _ = lines.shape
    tiles, still = np.empty(0, np.float32), np.empty(0, np.float32)
    sizes: list[Floats] = []
    over: list[int] = []  # the size by which each one is divided; -1 is 1
    for step in steps:
        if 2 * step >= length:
            break
        first = lines[:, step:] - lines[:, :-step]
        second = first[:, step:] - first[:, :-step] if step in twice else None
        place = len(sizes)
        sizes += _sizes(first.reshape(count, -1))
        over += [-1, place]
        if second is not None:
            sizes += _sizes(second.reshape(count, -1))
            over += [place, place + 2]
        if step == 1:  # `first` holds absolute values now
            tiles, still = _tiled(first), share_of(first.reshape(count, -1), 0)
    # All logarithms in one call; the spread is told over the mean, and second differences over first ones.
    logs = np.log(np.array([*sizes, np.ones(count, np.float32)]))
    return tiles, still, list(logs[:-1] - logs[over])


def _sizes(differences: Floats) -> tuple[Floats, Floats]:
    """Mean absolute and root mean square of (N, n), which becomes absolute; 0.1 more, so that a blank image has a
    logarithm."""
    square = np.vecdot(differences, differences) / np.float32(differences.shape[1])
    np.abs(differences, out=differences)
    return mean_of(differences) + np.float32(0.1), np.sqrt(square) + np.float32(0.1)


def _tiled(values: Floats) -> Floats:
    """Means over 4 x 4 tiles of (N, n, L), as (N, 16)."""
    return np.asarray(values.reshape(len(values), -1) @ _shares(*values.shape[1:]))


@lru_cache(maxsize=16)
def _shares(length: int, lines: int) -> Floats:
    """The matrix (length * lines, 16) that takes the means of the tiles of lines that lie side by side."""
    places = np.arange(length) * _TILES // length, np.arange(lines) * _TILES // lines
    tile = (_TILES * places[0][:, None] + places[1]).ravel()
    inside = (np.arange(_TILES * _TILES) == tile[:, None]).astype(np.float32)
    return np.asarray(inside / np.maximum(inside.sum(axis=0), 1))


def _colours(pixels: NDArray[np.uint8]) -> list[Floats]:
    red, green, blue = (pixels[..., place].reshape(len(pixels), -1).astype(np.float32) for place in range(3))
    apart = [red - green, green - blue]
    return [mean_of(values) for values in apart] + [np.log(mean_of(np.abs(values)) + 0.5) for values in apart]


def _sample(images: NDArray[np.uint8]) -> Floats:
    """Every k-th pixel of every k-th row, freed of mean and contrast."""
    _, height, width, _ = images.shape
    step = 1 if height * width <= _WHOLE else int(np.ceil(np.sqrt(height * width / _SAMPLE)))
    picked = _grey(images[:, step // 2 :: step, step // 2 :: step]).reshape(len(images), -1)
    picked -= mean_of(picked)[:, None]
    spread = np.sqrt(np.vecdot(picked, picked) / np.float32(picked.shape[1]))
    # 3 grey levels more, so that noise alone is not blown up.
    return np.asarray(picked / (spread[:, None] + np.float32(3)), np.float32)
