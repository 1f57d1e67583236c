"""Masks known by their pixels: few grey values, of which one fills most of the image."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LOSSLESS = {".png", ".bmp", ".tif", ".tiff"}
_LOOKED_AT = 16  # files of a group
_SIDE = 256  # a JPEG is read at the smallest size above this
_DEEPEST = 65_535
_MOST = 0.95  # of a mask with soft edges has one of four values


def masks_among(groups: Mapping[tuple[Path, str], Sequence[Path]]) -> set[Path]:
    """The files whose pixels are those of a mask, of groups by the folder that files share and what they are called.

    A few of a group are looked at, and all where those differ. Groups of few files are taken together with those of
    the folders next to theirs.
    """
    together: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for (folder, name), files in groups.items():
        together[folder if len(files) > _LOOKED_AT else folder.parent, name] += files
    found: set[Path] = set()
    for files in together.values():
        some = {_looks_like_mask(path) for path in files[:: -(-len(files) // _LOOKED_AT)]} - {None}
        if some == {True}:
            found.update(files)
        elif len(some) > 1:
            found.update(path for path in files if _packs_well(path) and _looks_like_mask(path))
    return found


def _looks_like_mask(path: Path) -> bool | None:
    """Whether a file that lies or is called like a mask has the pixels of one; None where it can't be read."""
    counts = grey_counts(path)
    if counts is None:
        return None
    shares = np.sort(counts[counts > 0] / counts.sum())
    if path.suffix.lower() in LOSSLESS:
        return bool(shares[-4:].sum() >= _MOST or (len(shares) <= 32 and shares[-1] >= 0.5))
    near = len(counts) // 16  # a JPEG blurs black and white
    dark, bright = counts[: near + 1].sum(), counts[-near - 1 :].sum()
    return bool(dark + bright >= _MOST * counts.sum())


def stray_masks(paths: Sequence[Path]) -> list[Path]:
    """Masks among images of parts, known by their pixels alone: black, and at most seven other values."""
    found = []
    for path in paths:
        counts = grey_counts(path) if path.suffix.lower() in LOSSLESS and _packs_well(path) else None
        if counts is None:
            continue
        few = counts[0] > 0 and 2 <= (counts > 0).sum() <= 8
        if few and 2 * counts.max() >= counts.sum():
            found.append(path)
    return found


def grey_counts(path: Path) -> NDArray[np.int64] | None:
    """How many pixels have each grey value up to the highest, nearly all at 8 bits; None for a file without any."""
    try:
        with Image.open(path) as image:
            image.draft("L", (_SIDE, _SIDE))
            if image.mode.startswith(("I", "F")):
                deep = np.asarray(image)
                return np.bincount(deep.ravel()) if deep.max() <= _DEEPEST else None
            return np.trim_zeros(np.array(image.convert("L").histogram()), "b")
    except Exception:  # Pillow raises nearly every built-in error on broken data; `check` names the fault
        return None


def _packs_well(path: Path) -> bool:
    """Whether the bytes of a file may be those of few values, without decoding it: ten pixels and more a byte, or few
    different bytes in the middle of a file that is not compressed."""
    if path.suffix.lower() not in LOSSLESS:
        return True
    try:
        size = path.stat().st_size
        with Image.open(path) as image:
            pixels = image.width * image.height
        with path.open("rb") as file:
            file.seek(size // 2)
            return size < 1000 + pixels / 10 or len(set(file.read(4096))) <= 16
    except Exception:
        return False
