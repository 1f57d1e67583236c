"""Masks: files that mark the flawed pixels of an image, which must not be learned as images of parts.

They lie in a folder of their own (`ground_truth/KIND/NAME_mask.png`, `masks/NAME.png`), or next to their image as
`NAME_mask.png`, or under the same name as a PNG of two values next to a JPEG.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from training.data.words import names_masks

_SUFFIXES = ("_mask", "-mask", "_gt", "-gt", "_label", "_seg")
_LOSSLESS = {".png", ".bmp", ".tif", ".tiff"}
_LOOKED_AT = 5


class Masks:
    """The masks among the images of a folder."""

    def __init__(self, root: Path, paths: Sequence[Path]) -> None:
        self.files: list[Path] = []
        self._by_name: dict[tuple[tuple[str, ...], str, str], Path] = {}
        self._partner: dict[Path, Path] = {}
        self._root = root
        for path in paths:
            parts = path.relative_to(root).parts[:-1]
            depth = next((i for i, part in enumerate(parts) if names_masks(part)), None)
            if depth is not None:
                below = parts[depth + 1 :]
                self._by_name[parts[:depth], below[-1] if below else "", _bare(path.stem)] = path
                self.files.append(path)
        self._find_neighbours([path for path in paths if path not in set(self.files)])
        self._known = set(self.files)

    def __contains__(self, path: Path) -> bool:
        return path in self._known

    def of(self, path: Path) -> Path | None:
        """The mask of an image, where there is one."""
        if path in self._partner:
            return self._partner[path]
        parts = path.relative_to(self._root).parts[:-1] if path.is_relative_to(self._root) else ()
        for depth in range(len(parts), -1, -1):
            for folder in (*parts[-1:], ""):
                found = self._by_name.get((parts[:depth], folder, path.stem))
                if found is not None:
                    return found
        return None

    def _find_neighbours(self, paths: list[Path]) -> None:
        names = {path.with_suffix(""): path for path in paths}
        pairs: defaultdict[Path, list[tuple[Path, Path]]] = defaultdict(list)
        by_stem: defaultdict[Path, list[Path]] = defaultdict(list)
        for path in paths:
            bare = _bare(path.stem)
            image = names.get(path.with_name(bare)) if bare != path.stem else None
            if image is not None:
                self._pair(image, path)
                continue
            by_stem[path.with_suffix("")].append(path)
        for twins in by_stem.values():
            marks = [path for path in twins if path.suffix.lower() in _LOSSLESS]
            images = [path for path in twins if path not in marks]
            if len(marks) == len(images) == 1:
                pairs[marks[0].parent].append((images[0], marks[0]))
        for found in pairs.values():
            if all(_has_two_values(mark) for _, mark in found[:_LOOKED_AT]):
                for image, mark in found:
                    self._pair(image, mark)

    def _pair(self, image: Path, mask: Path) -> None:
        self._partner[image] = mask
        self.files.append(mask)


def marks(path: Path) -> bool | None:
    """Whether a mask marks a pixel; None where it can't be read."""
    try:
        with Image.open(path) as image:
            return image.convert("L").getextrema()[1] != 0
    except Exception:  # Pillow raises nearly every built-in error on broken data
        return None


def _bare(stem: str) -> str:
    return next(
        (stem[: -len(end)] for end in _SUFFIXES if stem.lower().endswith(end) and stem[: -len(end)]), stem
    )


def _has_two_values(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            counts = image.convert("L").histogram()
    except Exception:  # Pillow raises nearly every built-in error on broken data
        return False
    return sum(count > 0 for count in counts) <= 2
