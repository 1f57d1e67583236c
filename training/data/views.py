"""Views of one part that differ in the last word of their names: `p017_top.png` and `p017_side.png`."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

_VIEW = re.compile(
    r"^(?P<part>.*?[^\W_].*?)[-_. ]*(?<![a-z])"
    r"(?P<view>top|bottom|left|right|front|back|rear|side|upper|lower|cam(?:era)?[-_ ]?\d+|view[-_ ]?\d+)$",
    re.IGNORECASE,
)


def parts_of_views(root: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """The part that each file below `root` shows from one side; files whose names tell no view are left out.

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
    return names
