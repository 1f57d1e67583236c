"""Any folder of labelled pictures as records, looked at before it is trained on.

Known layouts: `defect/` and `no_defect/` (also `Positive`/`Negative`, `def_front`/`ok_front`) anywhere below the
folder, with or without `train/` and `test/` above them; or a CSV with the columns file, label and, where known,
group, split and sha256. A group is what must stay on one side of a split: one part, or near-identical pictures.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.errors import GonogoError

_DEFECT = {"defect", "defects", "defective", "positive", "def_front", "bad", "ng", "nok", "1", "true"}
_GOOD = {"no_defect", "no-defect", "ok", "good", "negative", "ok_front", "0", "false", "normal"}
_SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
           "validation": "validation", "test": "test", "testing": "test"}  # fmt: skip
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_HASH_SIDE = 16
# Bits of 256 that two pictures of one view may differ in. Parts that merely look alike differ in more.
_NEAR_BITS = 6
_BANDS = 8
_SMALLEST_FOR_HASH = 48  # below, a picture has too few pixels for its gradients to tell parts apart


class DataError(GonogoError):
    """The folder can't be trained on; the sentence says why."""

    code = "unusable_data"


@dataclass(frozen=True)
class Record:
    """One labelled picture: label 1 is a defect. `identity` is the sha256 of its bytes."""

    path: Path
    label: int
    group: str
    split: str | None = None
    identity: str = ""


@dataclass
class Report:
    """What `check` saw; `records` are the usable pictures, groups merged where pictures are the same."""

    folder: str
    records: list[Record] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    exact_duplicates: int = 0
    near_duplicates: int = 0
    contradictions: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)
    has_groups: bool = False

    def as_json(self) -> dict[str, Any]:
        """JSON-ready form, without the records."""
        labels = Counter(record.label for record in self.records)
        return {
            "folder": self.folder,
            "images": len(self.records),
            "defect": labels[1],
            "no_defect": labels[0],
            "groups": len({record.group for record in self.records}),
            "groups_given": self.has_groups,
            "unreadable": self.unreadable,
            "sizes": self.sizes,
            "modes": self.modes,
            "exact_duplicates": self.exact_duplicates,
            "near_duplicates": self.near_duplicates,
            "contradicting_labels": self.contradictions,
            "leaks_between_splits": len(self.leaks),
        }

    def as_text(self) -> str:
        """For a person, one finding a line."""
        entry = self.as_json()
        lines = [
            f"{entry['images']} pictures: {entry['defect']} defect, {entry['no_defect']} no_defect, "
            f"{entry['groups']} groups" + ("" if self.has_groups else " (found by likeness, none given)"),
            "sizes: " + ", ".join(f"{size} ({count})" for size, count in list(self.sizes.items())[:5]),
            "modes: " + ", ".join(f"{mode} ({count})" for mode, count in self.modes.items()),
            f"exact duplicates: {self.exact_duplicates}, near duplicates: {self.near_duplicates}",
        ]
        lines += [f"unreadable: {name}" for name in self.unreadable[:20]]
        lines += [
            f"same picture, both labels (left out): {', '.join(names)}" for names in self.contradictions
        ]
        if self.leaks:
            lines.append(
                f"LEAK: {len(self.leaks)} groups lie on both sides of the given split; they are put on one side"
            )
        return "\n".join(lines)


def load(folder: Path) -> list[Record]:
    """The records of a folder or of a CSV file; raises DataError where neither layout fits."""
    if folder.is_file():
        return _from_csv(folder, folder.parent)
    table = folder / "images.csv"
    if table.is_file():
        return _from_csv(table, folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    records = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES:
            continue
        above = [part.lower() for part in path.relative_to(folder).parts[:-1]]
        label = next((_label(part) for part in reversed(above) if _label(part) is not None), None)
        if label is not None:
            split = next((_SPLITS[part] for part in above if part in _SPLITS), None)
            records.append(Record(path, label, "", split))
    if not records:
        raise DataError(
            f"{folder} holds no pictures below defect/ and no_defect/ (or Positive/, Negative/, …)"
        )
    return records


def _label(text: str) -> int | None:
    word = text.strip().lower()
    return 1 if word in _DEFECT else 0 if word in _GOOD else None


def _from_csv(table: Path, folder: Path) -> list[Record]:
    records = []
    with table.open(newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            label = _label(row.get("label") or "")
            if not row.get("file") or label is None:
                raise DataError(
                    f"{table.name}, line {line}: needs a file and a label such as defect or no_defect"
                )
            split = _SPLITS.get((row.get("split") or "").lower())
            records.append(Record(folder / row["file"], label, (row.get("group") or "").strip(), split))
    if not records:
        raise DataError(f"{table} lists no pictures")
    return records


@dataclass(frozen=True)
class _Look:
    identity: str
    size: tuple[int, int]
    mode: str
    bits: NDArray[np.uint8] | None


def _look(path: Path) -> _Look | None:
    try:
        data = path.read_bytes()
        with Image.open(path) as picture:
            size, mode = picture.size, picture.mode
            picture.draft("L", (64, 64))
            grey = picture.convert("L")
            small = np.asarray(grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX), np.int16)
    except (OSError, SyntaxError, ValueError):
        return None
    bits = np.packbits(small[:, 1:] > small[:, :-1]) if min(size) >= _SMALLEST_FOR_HASH else None
    return _Look(hashlib.sha256(data).hexdigest(), size, mode, bits)


def check(folder: Path, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Look at every picture: unreadable ones, duplicates, near duplicates, leaks. Raises DataError."""
    records = load(folder)
    report = Report(str(folder.name), has_groups=any(record.group for record in records))
    looks: list[_Look] = []
    kept: list[Record] = []
    with ThreadPoolExecutor(2) as pool:
        for place, (record, look) in enumerate(
            zip(records, pool.map(_look, [r.path for r in records]), strict=True)
        ):
            if progress is not None and (place + 1) % 200 == 0:
                progress(place + 1, len(records))
            if look is None:
                report.unreadable.append(record.path.name)
            else:
                kept.append(replace(record, identity=look.identity))
                looks.append(look)
    report.sizes = dict(Counter(f"{look.size[0]}x{look.size[1]}" for look in looks).most_common())
    report.modes = dict(Counter(look.mode for look in looks).most_common())
    report.records = _grouped(kept, looks, report)
    _note_leaks(report)
    if len({record.label for record in report.records}) < 2:
        raise DataError(f"{folder} holds pictures of one label only")
    return report


class _Union:
    """Disjoint sets of places."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def root(self, place: int) -> int:
        while self.parent[place] != place:
            self.parent[place] = self.parent[self.parent[place]]
            place = self.parent[place]
        return place

    def join(self, one: int, other: int) -> None:
        self.parent[self.root(one)] = self.root(other)


def _grouped(records: list[Record], looks: list[_Look], report: Report) -> list[Record]:
    """Records whose groups hold together what is the same; pictures with both labels are left out."""
    by_identity: defaultdict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        by_identity[record.identity].append(place)
    both = {
        identity for identity, places in by_identity.items() if len({records[p].label for p in places}) > 1
    }
    report.contradictions = [
        [records[p].path.name for p in by_identity[identity]] for identity in sorted(both)
    ]
    report.exact_duplicates = sum(len(places) - 1 for places in by_identity.values())
    union = _Union(len(records))
    for places in by_identity.values():
        for place in places[1:]:
            union.join(place, places[0])
    first_of: dict[str, int] = {}
    for place, record in enumerate(records):
        if record.group:
            union.join(place, first_of.setdefault(record.group, place))
    if not report.has_groups:
        for one, other in near_duplicates([look.bits for look in looks]):
            report.near_duplicates += 1
            union.join(one, other)
    return [
        replace(record, group=records[union.root(place)].group or f"g{union.root(place)}")
        for place, record in enumerate(records)
        if record.identity not in both
    ]


def near_duplicates(hashes: Sequence[NDArray[np.uint8] | None]) -> Iterable[tuple[int, int]]:
    """Pairs of places whose gradient hashes (256 bits) differ in at most a few bits.

    Pairs that differ in few bits share one of eight bands exactly, so only those within a band are compared.
    A band value that hundreds share (an empty background) tells nothing and is passed over.
    """
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    width = _HASH_SIDE * _HASH_SIDE // 8 // _BANDS
    for place, bits in enumerate(hashes):
        if bits is not None:
            for band in range(_BANDS):
                buckets[band, bits[band * width : (band + 1) * width].tobytes()].append(place)
    seen = set()
    for places in buckets.values():
        if not 2 <= len(places) <= 300:
            continue
        block = np.stack([hashes[place] for place in places])  # type: ignore[misc]
        for row, one in enumerate(places[:-1]):
            distances = np.bitwise_count(block[row + 1 :] ^ block[row]).sum(axis=1)
            for offset in np.flatnonzero(distances <= _NEAR_BITS):
                pair = (one, places[row + 1 + int(offset)])
                if pair not in seen:
                    seen.add(pair)
                    yield pair


def _note_leaks(report: Report) -> None:
    sides: defaultdict[str, set[str]] = defaultdict(set)
    names: defaultdict[str, list[str]] = defaultdict(list)
    for record in report.records:
        if record.split is not None:
            sides[record.group].add(record.split)
            names[record.group].append(record.path.name)
    report.leaks = [names[group] for group, splits in sides.items() if len(splits) > 1]
