"""Groups that file names propose where none are given: `p17_003.png` and `p17_004.png` may show one part.

Each beginning of a name, and each number in it alone, may name the part. A proposal is taken only where the images bear
it out: prints of one proposed part must be more alike than prints of different ones, in their places or in their light.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from training.data.likeness import Print
from training.data.records import Record

_GAPS = re.compile(r"[\s_\-.()]+")
_LARGEST_SHARE = 0.2  # a name that so many images share is no part
_TOGETHER = 0.8  # of the images lie in a proposed part with others
_ALIKE = 0.75  # chance that two prints of one part are more alike than two of different ones
_PAIRS = 1000

Proposal = list[list[int]]


def groups_by_name(records: Sequence[Record], prints: Sequence[Print | None]) -> Proposal:
    """Places of the images of each proposed part with two images or more, by the reading of the names that the prints
    bear out best; empty where they bear out none."""
    best, agreement = [], _ALIKE
    for proposal in _proposals(records):
        together = sum(map(len, proposal))
        if together < _TOGETHER * len(records) or max(map(len, proposal)) > _LARGEST_SHARE * len(records):
            continue
        borne_out = _agreement_of(proposal, prints)
        if borne_out >= agreement:
            best, agreement = proposal, borne_out
    return best


def _proposals(records: Sequence[Record]) -> Iterator[Proposal]:
    """The images grouped by each beginning of the usual name, and by each number in it alone."""
    words = [[word for word in _GAPS.split(record.path.stem) if word] for record in records]
    usual = Counter(map(len, words)).most_common(1)[0][0] if words else 0
    readings = [slice(0, count) for count in range(1, usual)]
    readings += [slice(place, place + 1) for place in range(1, usual)]
    for reading in readings:
        members: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, (record, parts) in enumerate(zip(records, words, strict=True)):
            named = parts[reading]
            if len(parts) == usual and any(character.isdigit() for character in named[-1]):
                folder = str(record.path.parent) if reading.start == 0 else str(record.label)
                members[(folder, *named)].append(place)
        proposal = [places for places in members.values() if len(places) > 1]
        if len(proposal) > 1:
            yield proposal


def _agreement_of(proposal: Proposal, prints: Sequence[Print | None]) -> float:
    """The chance that a pair of one proposed part is more alike than a pair across parts; 0 without prints."""
    rng = np.random.default_rng(0)
    usable = [[p for p in places if prints[p] is not None] for places in proposal]
    usable = [places for places in usable if len(places) > 1]
    if len(usable) < 2:
        return 0.0
    within, across = [], []
    for _ in range(_PAIRS):
        one, other = rng.choice(len(usable), 2, replace=False)
        a, b = rng.choice(usable[one], 2, replace=False)
        within.append(_alike(prints[a], prints[b]))
        across.append(_alike(prints[a], prints[rng.choice(usable[other])]))
    gap = np.sign(np.subtract(within, across))
    return float(((gap + 1).mean(0) / 2).max())


def _alike(one: Print | None, other: Print | None) -> tuple[float, float]:
    """By place, for images of one part; by light and contrast, for crops of one photograph."""
    assert one is not None
    assert other is not None
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return float(np.corrcoef(a, b)[0, 1]), -float(abs(a.mean() - b.mean()) + abs(a.std() - b.std()))
