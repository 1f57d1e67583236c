"""Why a network sees a defect: how far its logit falls where a place of the image is painted over.

It needs the logit only, so it holds for every network, and it is exact to a few pixels, where the network's own
activation map has a cell for each thirty-second pixel.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_PARTS_OF_A_SIDE = (5, 8, 13)  # a patch's side, from coarse to fine
_LEAST_PATCH = 3
_FINER = 0.6  # the share of places, the hottest ones, that the next finer patches look at
_BORDER = 3  # pixels around a patch from which it is painted over
_AT_ONCE = 32


def heat(logits: Logits, image: NDArray[np.uint8]) -> Floats:
    """The fall of the logit by place, (H, W), for an image (H, W, C); the hottest place is the likely flaw."""
    height, width = image.shape[:2]
    whole = float(logits(image[None])[0])
    total = np.zeros((height, width), np.float32)
    for level, parts in enumerate(_PARTS_OF_A_SIDE):
        patch = max(_LEAST_PATCH, round(min(height, width) / parts))
        places = list(_grid(height, width, patch))
        if level:
            places = _hottest(total, places)
        total += _falls(logits, image, places, whole)
    return total


def _grid(height: int, width: int, patch: int) -> Iterator[tuple[slice, slice]]:
    """Patches that overlap by half; those at the edges are cut off."""
    step, half = max(1, patch // 2), patch // 2
    for top in range(-half, height - half, step):
        for left in range(-half, width - half, step):
            yield slice(max(0, top), min(height, top + patch)), slice(max(0, left), min(width, left + patch))


def _hottest(total: Floats, places: list[tuple[slice, slice]]) -> list[tuple[slice, slice]]:
    warmth = np.array([total[rows, columns].mean() for rows, columns in places])
    kept = max(1, round(_FINER * len(places)))
    return [places[number] for number in np.argsort(-warmth, kind="stable")[:kept]]


def _falls(
    logits: Logits, image: NDArray[np.uint8], places: list[tuple[slice, slice]], whole: float
) -> Floats:
    """The mean fall of the patches that cover each pixel; 0 where none does."""
    falls, covered = np.zeros(image.shape[:2], np.float32), np.zeros(image.shape[:2], np.float32)
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        found = whole - logits(np.stack([_painted_over(image, *place) for place in some]))
        for (rows, columns), fall in zip(some, found, strict=True):
            falls[rows, columns] += fall
            covered[rows, columns] += 1
    return np.asarray(falls / np.maximum(covered, 1), np.float32)


def _painted_over(image: NDArray[np.uint8], rows: slice, columns: slice) -> NDArray[np.uint8]:
    """The image with a patch filled smoothly from what surrounds it: a patch of one colour would look like a flaw."""
    top, bottom = _beside(image[:, columns], rows, axis=0)
    left, right = _beside(image[rows], columns, axis=1)
    down = ((np.arange(rows.stop - rows.start) + 0.5) / (rows.stop - rows.start))[:, None, None]
    along = ((np.arange(columns.stop - columns.start) + 0.5) / (columns.stop - columns.start))[None, :, None]
    filled = (top * (1 - down) + bottom * down + left * (1 - along) + right * along) / 2
    painted = image.copy()
    painted[rows, columns] = filled.round().clip(0, 255)
    return painted


def _beside(strip: NDArray[np.uint8], span: slice, axis: int) -> tuple[Floats, Floats]:
    """The mean of the pixels before and after a span along an axis; at an edge of the image, twice the same."""
    length = strip.shape[axis]
    sides = []
    for inside in (
        slice(max(0, span.start - _BORDER), span.start),
        slice(span.stop, min(length, span.stop + _BORDER)),
    ):
        part = strip[inside] if axis == 0 else strip[:, inside]
        sides.append(part.mean(axis, keepdims=True, dtype=np.float32) if part.shape[axis] else None)
    first, last = sides
    known = first if last is None else last
    if known is None:  # the patch covers the whole strip
        known = strip.mean(axis, keepdims=True, dtype=np.float32)
    return (known if first is None else first), (known if last is None else last)
