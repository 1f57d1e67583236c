"""Pictures decoded once, by the very function that serves, and kept in memory as bytes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.artifact import Preprocessing
from shared.vision.preprocess import decode


def decode_files(files: Sequence[Path], spec: Preprocessing, *, threads: int = 2) -> NDArray[np.uint8]:
    """Pixels (N, H, W, C) in the order of `files`. Raises ItemError for the first picture that cannot be
    read."""
    pixels = np.empty((len(files), spec.height, spec.width, spec.channels), np.uint8)

    def fill(place: int) -> None:
        pixels[place] = decode(files[place].read_bytes(), spec)

    with ThreadPoolExecutor(threads) as pool:  # Pillow's decoders let other threads run
        for _ in pool.map(fill, range(len(files))):
            pass
    return pixels
