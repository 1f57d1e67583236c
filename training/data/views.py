"""Views of one part that differ in the last word of their names: `p017_top.png` and `p017_side.png`."""

import re
from pathlib import Path

_VIEW = re.compile(
    r"^(?P<part>.*?[^\W_].*?)[-_. ]*(?<![a-z])"
    r"(?:top|bottom|left|right|front|back|rear|side|upper|lower|cam(?:era)?[-_ ]?\d+|view[-_ ]?\d+)$",
    re.IGNORECASE,
)


def part_of_view(path: Path) -> str:
    """The part that a file name shows from one side, with its folder; empty where the name tells no view."""
    found = _VIEW.match(path.stem)
    return f"{path.parent.name}/{found['part']}" if found else ""
