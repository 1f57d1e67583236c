"""Any folder of labelled pictures as records, looked at before it is trained on.

Known layouts: `defect/` and `no_defect/` (also `Positive`/`Negative`, `def_front`/`ok_front`) anywhere below the
folder, with or without `train/` and `test/` above them; or a CSV with the columns file, label and, where known,
group, split and sha256. A group is what must stay on one side of a split: one part, or near-identical pictures.
"""

import csv
import hashlib
import io
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from shared.errors import GonogoError
from training.data.likeness import Groups, Print, alike, take_print

_DEFECT = {"defect", "defects", "defective", "positive", "def_front", "bad", "ng", "nok"}
_GOOD = {"no_defect", "no-defect", "ok", "good", "negative", "ok_front", "normal"}
# In a table these are labels too; a folder of that name only where no word above it says more.
_NUMBERS = {"1": 1, "true": 1, "0": 0, "false": 0}
_SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
           "validation": "validation", "test": "test", "testing": "test"}  # fmt: skip
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_NAMED = 50  # of a kind of finding; the count says how many there are
# A set joined by likeness alone stays below this, or a run of frames, each like the next, would join everything.
_LARGEST_SHARE, _LARGEST_AT_LEAST = 0.02, 50
# What Pillow raises for bytes that are no sound picture, by experience with fuzzed files.
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class DataError(GonogoError):
    """The folder can't be trained on; the sentence says why."""

    code = "unusable_data"


@dataclass(frozen=True)
class Record:
    """One labelled picture: label 1 is a defect. `identity` is the sha256 of its bytes, by `check`; before that
    what the table claims, or empty."""

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
    ignored: list[str] = field(default_factory=list)  # pictures that no label reaches
    unreadable: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # not the bytes that the table's sha256 names
    sizes: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)  # of another size or mode than nearly all the others
    exact_duplicates: int = 0
    exact_across_splits: int = 0  # sets of the same bytes that lie in more than one part of a given split
    near_duplicates: int = 0
    near_with_both_labels: int = 0
    joins_refused: int = 0
    without_print: int = 0  # too small or too blank to be compared by likeness
    contradictions: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)
    has_groups: bool = False

    def as_json(self) -> dict[str, Any]:
        """JSON-ready form, without the records; of long lists the first 50 and, in `counts`, how many."""
        labels = Counter(record.label for record in self.records)
        splits = Counter(record.split for record in self.records if record.split)
        lists = {name: getattr(self, name) for name in ("ignored", "unreadable", "changed", "odd")}
        return {
            "folder": self.folder,
            "images": len(self.records),
            "defect": labels[1],
            "no_defect": labels[0],
            "groups": len({record.group for record in self.records}),
            "groups_given": self.has_groups,
            "given_split": dict(sorted(splits.items())),
            "sizes": dict(list(self.sizes.items())[:_NAMED]),
            "modes": self.modes,
            "exact_duplicates": self.exact_duplicates,
            "exact_duplicates_across_splits": self.exact_across_splits,
            "near_duplicates": self.near_duplicates,
            "near_duplicates_with_both_labels": self.near_with_both_labels,
            "joins_refused": self.joins_refused,
            "without_print": self.without_print,
            "contradicting_labels": self.contradictions[:_NAMED],
            "leaks_between_splits": len(self.leaks),
            "counts": {name: len(found) for name, found in lists.items()},
            **{name: found[:_NAMED] for name, found in lists.items()},
        }

    def as_text(self) -> str:
        """For a person, one finding a line."""
        entry = self.as_json()
        lines = [
            f"{entry['images']} pictures: {entry['defect']} defect, {entry['no_defect']} no_defect, "
            f"{entry['groups']} groups" + ("" if self.has_groups else " (by likeness, none given)"),
            "sizes: " + ", ".join(f"{size} ({count})" for size, count in list(self.sizes.items())[:5]),
            "modes: " + ", ".join(f"{mode} ({count})" for mode, count in self.modes.items()),
            f"exact duplicates: {self.exact_duplicates}"
            + (
                ", likeness not asked, since groups are given"
                if self.has_groups
                else f", near duplicates: {self.near_duplicates}"
            ),
        ]
        if self.without_print and not self.has_groups:
            lines.append(f"too small or too blank to be compared by likeness: {self.without_print}")
        if self.near_with_both_labels:
            lines.append(f"near duplicates with both labels (kept on one side): {self.near_with_both_labels}")
        if self.joins_refused:
            lines.append(
                f"likeness would have made groups too large {self.joins_refused} times: give a group column"
            )
        lines += _listed("unreadable, left out", self.unreadable)
        lines += _listed("not the bytes that the table's sha256 names", self.changed)
        lines += _listed("no label reaches, left out", self.ignored)
        lines += _listed("odd size or mode", self.odd)
        lines += _listed("same picture, both labels, left out", [", ".join(c) for c in self.contradictions])
        if self.exact_across_splits:
            lines.append(f"the same bytes in two parts of the given split: {self.exact_across_splits} times")
        if self.leaks:
            lines.append(
                f"LEAK: {len(self.leaks)} groups lie on both sides of the given split; it can't be used as it is"
            )
        return "\n".join(lines)


def _listed(finding: str, names: list[str]) -> list[str]:
    shown = "; ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return [f"{finding}: {len(names)} ({shown})"] if names else []


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
        label = next((found for part in reversed(above) if (found := _label(part)) is not None), None)
        if label is None:
            label = next((_NUMBERS[part] for part in reversed(above) if part in _NUMBERS), None)
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
            word = (row.get("label") or "").strip().lower()
            label = _NUMBERS.get(word, _label(word))
            if not row.get("file") or label is None:
                raise DataError(
                    f"{table.name}, line {line}: needs a file and a label such as defect or no_defect"
                )
            group, split = (row.get("group") or "").strip(), (row.get("split") or "").strip().lower()
            claimed = (row.get("sha256") or "").strip().lower()
            records.append(Record(folder / row["file"], label, group, _SPLITS.get(split), claimed))
    if not records:
        raise DataError(f"{table} lists no pictures")
    return records


@dataclass(frozen=True)
class _Look:
    identity: str
    size: str
    mode: str
    print: Print | None


def _look(path: Path) -> _Look | None:
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            size, mode = f"{picture.width}x{picture.height}", picture.mode
            taken = take_print(picture)
    except _BROKEN:
        return None
    return _Look(hashlib.sha256(data).hexdigest(), size, mode, taken)


def check(folder: Path, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Look at every picture: unreadable ones, duplicates, near duplicates, leaks. Raises DataError."""
    records = load(folder)
    root = folder if folder.is_dir() else folder.parent
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
                report.unreadable.append(_name(record.path, root))
                continue
            if record.identity and record.identity != look.identity:
                report.changed.append(_name(record.path, root))
            kept.append(replace(record, identity=look.identity))
            looks.append(look)
    report.sizes = dict(Counter(look.size for look in looks).most_common())
    report.modes = dict(Counter(look.mode for look in looks).most_common())
    report.odd = [_name(r.path, root) for r, look in zip(kept, looks, strict=True) if _is_odd(look, report)]
    if folder.is_dir():
        listed = {record.path for record in records}
        report.ignored = [
            _name(path, root)
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in _SUFFIXES and path not in listed and path.parent.name != "masks"
        ]
    report.records = _grouped(kept, looks, report, root)
    _note_leaks(report, root)
    if len({record.label for record in report.records}) < 2:
        raise DataError(f"{folder} holds pictures of one label only")
    return report


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _is_odd(look: _Look, report: Report) -> bool:
    """Of a size or mode that one picture in fifty or fewer has, beside one that nine in ten have."""
    for own, counts in ((look.size, report.sizes), (look.mode, report.modes)):
        total = sum(counts.values())
        if max(counts.values()) >= 0.9 * total and counts[own] <= max(1, 0.02 * total):
            return True
    return False


def _grouped(records: list[Record], looks: list[_Look], report: Report, root: Path) -> list[Record]:
    """Records whose groups hold together what is the same; pictures with both labels are left out."""
    by_identity: defaultdict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        by_identity[record.identity].append(place)
    both = {
        identity for identity, places in by_identity.items() if len({records[p].label for p in places}) > 1
    }
    report.contradictions = [
        [_name(records[p].path, root) for p in by_identity[identity]] for identity in sorted(both)
    ]
    report.exact_duplicates = sum(len(places) - 1 for places in by_identity.values())
    report.exact_across_splits = sum(
        len({records[p].split for p in places} - {None}) > 1 for places in by_identity.values()
    )
    groups = Groups(len(records))
    for places in by_identity.values():
        for place in places[1:]:
            groups.join(place, places[0])
    first_of: dict[str, int] = {}
    for place, record in enumerate(records):
        if record.group:
            groups.join(place, first_of.setdefault(record.group, place))
    report.without_print = sum(look.print is None for look in looks)
    if not report.has_groups:
        _join_alike(records, looks, groups, report)
    given: dict[int, str] = {}
    for place, record in enumerate(records):
        if record.group:
            given.setdefault(groups.root(place), record.group)
    return [
        replace(record, group=given.get(groups.root(place), f"alone-or-alike-{groups.root(place)}"))
        for place, record in enumerate(records)
        if record.identity not in both
    ]


def _join_alike(records: list[Record], looks: list[_Look], groups: Groups, report: Report) -> None:
    """Near duplicates into one group, the most alike first, so that a refused join is the least certain."""
    largest = max(_LARGEST_AT_LEAST, int(_LARGEST_SHARE * len(records)))
    pairs = sorted(alike([look.print for look in looks]), key=lambda pair: -pair[2])
    for one, other, _ in pairs:
        if records[one].identity == records[other].identity:
            continue
        report.near_duplicates += 1
        report.near_with_both_labels += records[one].label != records[other].label
        report.joins_refused += not groups.join(one, other, largest=largest)


def _note_leaks(report: Report, root: Path) -> None:
    sides: defaultdict[str, set[str]] = defaultdict(set)
    names: defaultdict[str, list[str]] = defaultdict(list)
    for record in report.records:
        if record.split is not None:
            sides[record.group].add(record.split)
            names[record.group].append(_name(record.path, root))
    report.leaks = [names[group] for group, splits in sides.items() if len(splits) > 1]
