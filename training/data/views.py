"""Views of one part that differ in the last word of their names: `p017_top.png` and `p017_side.png`."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

_VIEW = re.compile(
    r"^(?P<part>.*?[^\W_].*?)[-_. ]*(?<![a-z])"
    r"(?P<view>top|bottom|left|right|front|back|rear|side|upper|lower|(?:cam(?:era)?|view)[-_ ]?\d{1,2})$",
    re.IGNORECASE,
)
_LARGEST_SHARE, _LARGEST_AT_LEAST = 0.2, 8  # a part that so many images show is a word of all names
_TOGETHER = 0.5  # of the named images show a part with others, or the word names the only camera


def parts_of_views(root: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """The part that each image below `root` shows from one side; images whose names tell no view are left out, and so
    are all where the names can't mean views.

    `good/p1_side` and `bad/p1_top` are one part. Where numbers begin again in each folder, so that a part has a view
    twice, the folder belongs to the name of the part.
    """
    found = {path: match for path in paths if (match := _VIEW.match(path.stem))}
    views: defaultdict[str, Counter[str]] = defaultdict(Counter)
    folders: defaultdict[str, set[Path]] = defaultdict(set)
    for path, match in found.items():
        views[match["part"]][match["view"].lower()] += 1
        folders[match["part"]].add(path.parent)
    names = {}
    for path, match in found.items():
        part, folder = match["part"], path.parent.name
        if len(folders[part]) > 1:
            once = max(views[part].values()) == 1
            folder = "" if once else path.parent.relative_to(root).as_posix()
        names[path] = f"{folder}/{part}"
    sizes = Counter(names.values()).values()
    largest = max(_LARGEST_AT_LEAST, _LARGEST_SHARE * len(paths))
    together = sum(size for size in sizes if size > 1) >= _TOGETHER * len(names)
    return names if together and max(sizes, default=0) <= largest else {}
