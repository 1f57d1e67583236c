"""Groups that file names propose where none are given: `p17_003.png` and `p17_004.png` may show one part.

A name proposes the part that is left when its last number is cut off. The proposal is taken only where the images
bear it out: prints of one proposed part must be more alike than prints of different ones, in their
places or in their light.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from training.data.likeness import Print
from training.data.records import Record

_LAST_NUMBER = re.compile(r"^(?P<part>.*\d.*?|.*[^\W\d_]{2,}.*?)[-_. ()]+\d+\)?$")
_LARGEST_SHARE = 0.2  # a name that so many images share is no part
_TOGETHER = 0.8  # of the images lie in a proposed part with others
_ALIKE = 0.75  # chance that two prints of one part are more alike than two of different ones
_PAIRS = 2000


def groups_by_name(records: Sequence[Record], prints: Sequence[Print | None]) -> list[list[int]]:
    """Places of the images of each proposed part with two images or more; empty where names propose nothing that the
    prints bear out."""
    members: defaultdict[tuple[str, int, str], list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        found = _LAST_NUMBER.match(record.path.stem)
        if found:
            members[str(record.path.parent), record.label, found["part"]].append(place)
    proposed = [places for places in members.values() if len(places) > 1]
    together = sum(map(len, proposed))
    if together < _TOGETHER * len(records) or max(map(len, proposed)) > _LARGEST_SHARE * len(records):
        return []
    return proposed if _borne_out(proposed, prints) else []


def _borne_out(proposed: Sequence[Sequence[int]], prints: Sequence[Print | None]) -> bool:
    """Whether pairs of one proposed part are more alike than pairs across parts."""
    rng = np.random.default_rng(0)
    usable = [[p for p in places if prints[p] is not None] for places in proposed]
    usable = [places for places in usable if len(places) > 1]
    if len(usable) < 2:
        return False
    within, across = [], []
    for _ in range(_PAIRS):
        one, other = rng.choice(len(usable), 2, replace=False)
        a, b = rng.choice(usable[one], 2, replace=False)
        within.append(_agreement(prints[a], prints[b]))
        across.append(_agreement(prints[a], prints[rng.choice(usable[other])]))
    gap = np.sign(np.subtract(within, across))
    return bool(((gap + 1).mean(0) / 2 >= _ALIKE).any())


def _agreement(one: Print | None, other: Print | None) -> tuple[float, float]:
    """By place, for images of one part; by light and contrast, for crops of one photograph."""
    assert one is not None
    assert other is not None
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return float(np.corrcoef(a, b)[0, 1]), -float(abs(a.mean() - b.mean()) + abs(a.std() - b.std()))
