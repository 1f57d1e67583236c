"""Masks: files that mark the flawed pixels of an image, which must not be learned as images of parts.

They lie in a folder of their own (`ground_truth/KIND/NAME_mask.png`, `masks/NAME.png`), or next to their image as
`NAME_mask.png`, under the same name in another format, or as `img.png` and `mask.png` in a folder for each part.
Names that photographs bear too, such as `NAME_label.png`, count where the pixels are those of a mask.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from training.data.mask_pixels import LOSSLESS, masks_among
from training.data.words import may_name_masks, names_masks

_WORD = r"(?:masks?|gt|labels?|seg|segmentation|ground[-_ ]?truth|annotation)"
_SUFFIX = re.compile(rf"(?P<bare>.+)[-_. ]{_WORD}(?P<number>[-_ ]?\d+)?", re.IGNORECASE)
_ALONE = re.compile(rf"{_WORD}(?:[-_ ]?\d+)?", re.IGNORECASE)
_DRAWN_OVER = "label_viz"  # by labelme, next to label: the image with its mask in colour


class Masks:
    """The masks among the images of a folder."""

    def __init__(self, root: Path, paths: Sequence[Path]) -> None:
        self.files: list[Path] = []
        self._by_name: dict[tuple[tuple[str, ...], str, str], Path] = {}
        self._partner: dict[Path, Path | None] = {}
        self._root = root
        perhaps: dict[Path, int] = {}
        groups: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
        for path in paths:
            parts = path.relative_to(root).parts[:-1]
            depth = next((i for i, part in enumerate(parts) if names_masks(part)), None)
            if depth is not None:
                self._take(path, depth)
                continue
            depth = next((i for i in reversed(range(len(parts))) if may_name_masks(parts[i])), None)
            if depth is not None:
                perhaps[path] = depth
                groups[root.joinpath(*parts[:depth]), parts[depth]].append(path)
        for path in sorted(masks_among(groups)):
            self._take(path, perhaps[path])
        known = set(self.files)
        self._find_neighbours([path for path in paths if path not in known])
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

    def _take(self, path: Path, depth: int) -> None:
        """A file below a folder of masks, which lies at `depth`."""
        parts = path.relative_to(self._root).parts[:-1]
        below = parts[depth + 1 :]
        self._by_name[parts[:depth], below[-1] if below else "", _bare(path.stem)] = path
        self.files.append(path)

    def _find_neighbours(self, paths: list[Path]) -> None:
        """Masks next to their images, whose names say so and whose pixels bear it out."""
        names = {path.with_suffix(""): path for path in paths}
        marked: dict[Path, tuple[Path, bool]] = {}  # the image, and whether its masks are numbered
        alone: defaultdict[Path, list[Path]] = defaultdict(list)
        by_stem: defaultdict[Path, list[Path]] = defaultdict(list)
        groups: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
        for path in paths:
            match = _SUFFIX.fullmatch(path.stem)
            image = match and names.get(path.with_name(match["bare"]))
            if match and image:
                marked[path] = image, match["number"] is not None
                groups[path.parent, path.name.removeprefix(match["bare"])].append(path)
            elif _ALONE.fullmatch(path.stem):
                alone[path.parent].append(path)
                groups[path.parent.parent, path.name].append(path)
            else:
                by_stem[path.with_suffix("")].append(path)
        twins = [files for files in by_stem.values() if len(files) > 1]
        for path in (path for files in twins for path in files):
            groups[path.parent, path.suffix.lower()].append(path)
        seen = masks_among(groups)
        for mask, (image, numbered) in marked.items():
            if mask in seen:
                # Each of several masks marks a part of the flaw alone, and none of them is used.
                self._partner[image] = None if numbered and image in self._partner else mask
                self.files.append(mask)
        for files in twins:
            images = [path for path in files if path not in seen]
            # A photograph may be as black and white as its mask.
            images = images or [path for path in files if path.suffix.lower() not in LOSSLESS]
            masks = [path for path in files if images and path not in images]
            self._partner.update((image, mask) for image in images for mask in masks)
            self.files += masks
        known = set(self.files)
        rest = [path for files in by_stem.values() for path in files if path not in known]
        self._pair_alone(alone, rest, seen)

    def _pair_alone(self, alone: dict[Path, list[Path]], rest: list[Path], seen: set[Path]) -> None:
        """Masks that are called by a word for masks alone: those of the one image in their folder, if there is one."""
        others: defaultdict[Path, list[Path]] = defaultdict(list)
        for path in rest:
            others[path.parent].append(path)
        for folder, found in alone.items():
            masks = [path for path in found if path in seen]
            drawn = [path for path in others[folder] if masks and path.stem.lower() == _DRAWN_OVER]
            images = [path for path in others[folder] if path not in drawn]
            self.files += [*masks, *drawn] if images else []
            if len(images) == len(masks) == 1:
                self._partner[images[0]] = masks[0]


def marks(path: Path) -> bool | None:
    """Whether a mask marks a pixel; None where it can't be read."""
    try:
        with Image.open(path) as image:
            return image.convert("L").getextrema()[1] != 0
    except Exception:  # Pillow raises nearly every built-in error on broken data
        return None


def _bare(stem: str) -> str:
    match = _SUFFIX.fullmatch(stem)
    return match["bare"] if match and match["number"] is None else stem
