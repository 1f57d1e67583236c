"""Splits that hold a group on one side, and the hash that says which images the test part is."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.data.records import DataError, Record

CROSSED = "cross-fitted"  # as the words of a card on its split begin where every image is also learned
FRACTIONS = (0.7, 0.15, 0.15)
VALIDATION_SHARE = 0.18  # of a given train part that names no validation


@dataclass(frozen=True)
class Split:
    """Disjoint parts of a set; `proof` is the one that only the bound of a promise sees, None without a promise."""

    train: list[Record]
    validation: list[Record]
    test: list[Record]
    proof: list[Record] | None = None


def grouped_split(records: Sequence[Record], *, seed: int) -> Split:
    """Whole groups to each part, defects and good images in nearly the wanted shares in each.

    Raises DataError where there are too few groups for each part to hold both labels.
    """
    places = _assign(records, FRACTIONS, seed)
    parts = [[r for r, place in zip(records, places, strict=True) if place == part] for part in range(3)]
    for name, part in zip(("train", "validation", "test"), parts, strict=True):
        if len({record.label for record in part}) < 2:
            raise DataError(f"too few groups: the {name} part would hold one label only")
    return Split(*parts)


def random_split(records: Sequence[Record], *, seed: int) -> Split:
    """Single images at random, whatever group they belong to: the protocol of most published figures."""
    alone = [replace(record, group=str(place)) for place, record in enumerate(records)]
    split = grouped_split(alone, seed=seed)
    by_path = {record.path: record for record in records}

    def original(part: list[Record]) -> list[Record]:
        return [by_path[record.path] for record in part]

    return Split(original(split.train), original(split.validation), original(split.test))


def given_split(records: Sequence[Record], *, seed: int) -> Split | None:
    """The split that the data itself names, a group on both sides put into train; None where it names none.

    Validation comes out of train where the data names train and test only, and out of train and validation where the
    one that it names holds a single label, by which no threshold can be set.
    """
    if not {"train", "test"} <= {record.split for record in records} or any(r.split is None for r in records):
        return None
    sides: defaultdict[str, set[str | None]] = defaultdict(set)
    for record in records:
        sides[record.group].add(record.split)
    test = [r for r in records if sides[r.group] == {"test"}]
    validation = [r for r in records if sides[r.group] == {"validation"}]
    validation = validation if len({r.label for r in validation}) == 2 else []
    taken = {r.path for r in (*test, *validation)}
    train = [r for r in records if r.path not in taken]
    if not validation:
        places = _assign(train, (round(1 - VALIDATION_SHARE, 9), VALIDATION_SHARE), seed)
        validation = [r for r, place in zip(train, places, strict=True) if place == 1]
        train = [r for r, place in zip(train, places, strict=True) if place == 0]
    return Split(train, validation, test)


def grouped_folds(records: Sequence[Record], count: int, *, seed: int) -> list[list[Record]]:
    """`count` disjoint parts that together are the set, each of whole groups."""
    places = _assign(records, [1 / count] * count, seed)
    return [[r for r, place in zip(records, places, strict=True) if place == fold] for fold in range(count)]


def fold_places(records: Sequence[Record], count: int, *, seed: int) -> list[NDArray[np.int64]]:
    """The same folds as ascending places in the records; an empty one is left out."""
    numbers = np.array(_assign(records, [1 / count] * count, seed), np.int64)
    return [places for fold in range(count) if len(places := np.flatnonzero(numbers == fold))]


def fold_numbers(folds: Sequence[NDArray[np.int64]], count: int) -> NDArray[np.int64]:
    """The number of the fold of each of `count` records (N,)."""
    numbers = np.zeros(count, np.int64)
    for number, places in enumerate(folds):
        numbers[places] = number
    return numbers


def _assign(records: Sequence[Record], fractions: Sequence[float], seed: int) -> list[int]:
    """The part of each record: groups from the largest on go where their labels are most lacking."""
    members: defaultdict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        members[record.group].append(place)
    counts = {
        group: np.bincount([records[p].label for p in places], minlength=2)
        for group, places in members.items()
    }
    order = np.random.default_rng(seed).permutation(sorted(members))
    largest_first = sorted(order, key=lambda group: -len(members[str(group)]))
    totals = np.maximum(sum(counts.values()), 1)
    wanted = np.outer(fractions, totals).astype(float)
    have = np.zeros_like(wanted)
    result = [0] * len(records)
    for group in largest_first:
        count = counts[str(group)]
        # The part that lacks most of what this group holds, in shares of what it should have.
        lack = ((wanted - have) / np.maximum(wanted, 1e-9)) @ (count / totals)
        part = int(np.argmax(lack))
        have[part] += count
        for place in members[str(group)]:
            result[place] = part
    return result


def rarer_groups(records: Sequence[Record]) -> int:
    """How many groups the label shows that shows fewer."""
    return min(len({record.group for record in records if record.label == label}) for label in (0, 1))


def part_hash(records: Sequence[Record]) -> str:
    """sha256 of the sorted identities: the same images give the same hash wherever they lie."""
    return hashlib.sha256("\n".join(sorted(record.identity for record in records)).encode()).hexdigest()
