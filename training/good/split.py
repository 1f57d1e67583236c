"""The split of a set of good parts: each part lies on one side, whatever its labels, and no defect is learned."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from training.data.records import DataError, Record
from training.data.splits import Split

LEAST_GOOD = 10  # images
_TELLING = 5  # good groups set a threshold well enough; a third of few groups is kept for it
_HOW = "good parts only: by whole groups, no defect in the training part"

Members = Mapping[str, Sequence[Record]]
Sides = dict[str, str]


def good_split(records: Sequence[Record], *, seed: int, tested: bool = False) -> tuple[Split, str]:
    """The split, and a sentence on how it was made. `tested` says that the test part is another folder.

    A seventh of the good groups each for validation and test, more of few ones for validation. A given test part stays
    the test part, but for groups that it shares with the others; good groups join it where it shows none. Raises
    DataError for too few good images or groups.
    """
    given = set() if tested else _given(records)
    members: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.group not in given:
            members[record.group].append(record)
    judged = tested or any(not record.label for record in records if record.group in given)
    sides = _sides(members, _room(members, judged), seed, own_test=not (tested or given))
    sides |= dict.fromkeys(given, "test")
    parts: dict[str, list[Record]] = {"train": [], "validation": [], "test": []}
    left = 0
    for record in records:
        side = sides.get(record.group, "train")
        if record.label and side == "train":
            left += 1
        else:
            parts[side].append(record)
    how = _HOW
    if given:
        how += "; the test part is the one that the data names" + (
            "" if judged else ", with good groups added"
        )
    if left:
        how += f"; left out are {left} defects of groups whose good images are learned"
    return Split(parts["train"], parts["validation"], parts["test"]), how


def _given(records: Sequence[Record]) -> set[str]:
    """The groups of a test part that the data names; none where no good image lies outside it."""
    parts: defaultdict[str, set[str | None]] = defaultdict(set)
    for record in records:
        parts[record.group].add(record.split)
    given = {group for group, named in parts.items() if named == {"test"}}
    return given if any(not record.label for record in records if record.group not in given) else set()


def _room(members: Members, judged: bool) -> dict[str, int]:
    """How many good groups test and validation part get; a test part that is `judged` on its own good images, none."""
    good = [record.group for group in members.values() for record in group if not record.label]
    count, least = len(set(good)), 3 if judged else 4
    outside = " outside the test part" if judged else ""
    if len(good) < LEAST_GOOD:
        raise DataError(f"{len(good)} good images{outside} are too few: at least {LEAST_GOOD} are needed")
    if count < least:
        raise DataError(
            f"the good images{outside} show {count} groups (parts, or images that are alike): at least {least} are "
            f"needed, one to learn, two to set the threshold by{'' if judged else ', and one to test on'}"
        )
    seventh = -(-count // 7)
    return {"test": 0 if judged else seventh, "validation": max(2, seventh, min(_TELLING, count // 3))}


def _sides(members: Members, room: dict[str, int], seed: int, *, own_test: bool) -> Sides:
    """The groups that are not learned, each with its part: those with defects first, as far as there is room and half
    of the good images are left to learn; then good ones of all sizes but the largest."""
    defects = {group: sum(record.label for record in own) for group, own in members.items()}
    good = {group: len(own) - defects[group] for group, own in members.items()}
    order = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    order.sort(key=good.__getitem__)
    spare = sum(good.values()) // 2
    shown = dict.fromkeys(("test", "validation") if own_test else ("validation",), 0)
    sides: Sides = {}
    for group in order:
        places = [part for part in shown if room[part] or not good[group]]
        if not defects[group] or not places or good[group] > spare:
            continue
        sides[group] = part = min(places, key=shown.__getitem__)
        shown[part] += defects[group]
        spare -= good[group]
        room[part] -= good[group] > 0
    rest = [group for group in order if good[group] and group not in sides]
    wanted = sum(room.values())
    for place in range(wanted):
        sides[rest[place * len(rest) // wanted]] = part = max(room, key=room.__getitem__)
        room[part] -= 1
    return sides
