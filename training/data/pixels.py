"""Images decoded once, by the very function that serves, and kept in memory as bytes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.preprocess import decode
from training.data.records import DataError


def decode_files(files: Sequence[Path], spec: Preprocessing, *, threads: int = 2) -> NDArray[np.uint8]:
    """Pixels (N, H, W, C) in the order of `files`. Raises DataError with the name of the first unreadable image."""
    pixels = np.empty((len(files), spec.height, spec.width, spec.channels), np.uint8)

    def fill(place: int) -> None:
        try:
            pixels[place] = decode(files[place].read_bytes(), spec)
        except ItemError as error:
            raise DataError(f"{files[place]}: {error}") from error

    _all(fill, len(files), threads)
    return pixels


def decode_masks(files: Sequence[Path], spec: Preprocessing) -> NDArray[np.uint8] | None:
    """Masks (N, H, W, 1), 255 on the flaw, from `masks/STEM.png` next to the label folders; None where the data
    has none. An image without a mask file among others with one has no flaw."""
    masks = [file.parent.parent / "masks" / f"{file.stem}.png" for file in files]
    if not any(mask.exists() for mask in masks[:50]):
        return None
    pixels = np.zeros((len(files), spec.height, spec.width, 1), np.uint8)
    grey = Preprocessing(spec.width, spec.height, 1)

    def fill(place: int) -> None:
        if masks[place].exists():
            pixels[place] = decode(masks[place].read_bytes(), grey)

    _all(fill, len(files), 2)
    return pixels


def _all(work: Callable[[int], None], count: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:  # Pillow's decoders let other threads run
        for _ in pool.map(work, range(count)):
            pass
