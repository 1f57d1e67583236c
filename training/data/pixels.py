"""Images decoded once, by the very function that serves, and kept in memory as bytes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.preprocess import decode
from training.data.accepted import accepted
from training.data.records import DataError, Record

_MASKED = 0.95  # of the defects


def decode_files(files: Sequence[Path], spec: Preprocessing, *, threads: int = 2) -> NDArray[np.uint8]:
    """Pixels (N, H, W, C) in the order of `files`. Raises DataError with the name of the first unreadable image."""
    within = accepted()
    pixels = np.empty((len(files), spec.height, spec.width, spec.channels), np.uint8)

    def fill(place: int) -> None:
        try:
            pixels[place] = decode(within.read(files[place]), spec, within.limits)
        except ItemError as error:
            raise DataError(f"{files[place]}: {error}") from error

    _all(fill, len(files), threads)
    return pixels


def decode_masks(records: Sequence[Record], spec: Preprocessing) -> NDArray[np.uint8] | None:
    """Masks (N, H, W, 1), 255 on the flaw; None where a defect in twenty has no mask that can be read, since an
    image without a mask counts as one without a flaw."""
    defects = [record for record in records if record.label]
    if sum(record.mask is not None for record in defects) < max(1.0, _MASKED * len(defects)):
        return None
    pixels = np.zeros((len(records), spec.height, spec.width, 1), np.uint8)
    missing = []

    def fill(place: int) -> None:
        mask = records[place].mask
        if mask is None or not records[place].label:
            return
        try:
            pixels[place, :, :, 0] = _marked(mask, spec)
        except Exception:  # Pillow raises nearly every built-in error on broken data
            missing.append(place)

    _all(fill, len(records), 2)
    return pixels if len(missing) <= (1 - _MASKED) * len(defects) else None


def _marked(path: Path, spec: Preprocessing) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        grey = image.convert("L")
    # Some sets mark a flaw by the number of its kind, 1 to 9 or so, and others by white.
    bound = 0 if int(np.asarray(grey).max()) < 128 else 127
    marked = grey.point([255 if value > bound else 0 for value in range(256)])
    return np.asarray(marked.resize((spec.width, spec.height), Image.Resampling.BILINEAR))


def _all(work: Callable[[int], None], count: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:  # Pillow's decoders let other threads run
        for _ in pool.map(work, range(count)):
            pass
