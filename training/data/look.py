"""Look at an image as the service would read it: refuse what the service refuses, and take its print."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import MAX_STRETCH
from shared.vision.preprocess import view
from training.data.accepted import Accepted
from training.data.likeness import SIDE, Print, take_print

_VIEW = 2 * SIDE  # the shorter side of the view that the print is taken from


@dataclass(frozen=True)
class Look:
    """sha256 of the bytes, size in pixels after the EXIF turn, Pillow's mode, and the print where there is one."""

    identity: str
    width: int
    height: int
    mode: str
    print: Print | None


def look(path: Path, within: Accepted, full_scale: int | None = None) -> Look | ItemError:
    """The look, or the error that the service would answer with. `full_scale` as in Preprocessing."""
    try:
        data = within.read(path)
        # The header alone gives the size, which the view needs; a file without a readable one fails in `view`.
        size, mode = _head(data)
        longer, shorter = max(size), max(1, min(size))
        # Proportions are judged later, against those of the whole set.
        proportions = size if longer > MAX_STRETCH * shorter else (1, 1)
        side = max(_VIEW, round(_VIEW * longer / shorter))
        seen = view(data, Preprocessing(*proportions, 1, full_scale), side, within.limits)
    except ItemError as error:
        return error
    except OSError as error:
        return ItemError("corrupt_image", f"cannot be read: {error.strerror}")
    except MemoryError:
        return ItemError("too_costly", "decoding it needs more memory than there is")
    width, height = size
    if (seen.width > seen.height) != (width > height) and seen.width != seen.height:
        width, height = height, width
    return Look(hashlib.sha256(data).hexdigest(), width, height, mode, take_print(seen))


def _head(data: bytes) -> tuple[tuple[int, int], str]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size, image.mode
    except Exception:  # Pillow raises nearly every built-in error on broken data; `view` names the fault
        return (1, 1), ""
