"""Images to lay out in folders."""

from pathlib import Path

import numpy as np
from PIL import Image

from training.data.load import load
from training.data.records import Source
from training.data.words import Words


def put(path: Path, seed: int = 0, *, mask: bool = False, sixteen: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 9), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((96, 80), Image.Resampling.BICUBIC)
    if mask:
        image = image.point([255 if value > 200 else 0 for value in range(256)])
    if sixteen:
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 200)
    image.save(path)
    return path


def lay(root: Path, *folders: str, count: int = 2) -> Path:
    """Images in each of some folders."""
    for number, folder in enumerate(folders):
        for place in range(count):
            put(root / folder / f"{place}.png", 20 * number + place)
    return root


def labels(folder: Path, words: Words | None = None) -> dict[str, tuple[int, str]]:
    records = load(Source(folder, words or Words()))
    return {r.path.relative_to(folder).as_posix(): (r.label, r.kind) for r in records}
