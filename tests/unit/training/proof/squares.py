"""Noise of 24 x 24 pixels in folders by label; a bad image has a lighter square."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def draw(folder: Path, labels: Sequence[str], *, square: slice, lighter: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for place, label in enumerate(labels):
        pixels = rng.normal(110, 12, (24, 24))
        if label == "bad":
            pixels[square, square] += lighter
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / label / f"{place:03}.png")
