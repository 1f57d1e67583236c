"""Look at every image of a folder before training: unreadable files, duplicates, groups, leaks."""

import hashlib
import io
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from shared.contract.image_files import image_kind
from training.data.likeness import Groups, Print, alike, take_print
from training.data.records import SUFFIXES, DataError, Record, load
from training.data.report import Report

# A set joined by likeness alone stays below this, or a run of frames, each like the next, would join everything.
_LARGEST_SHARE, _LARGEST_AT_LEAST = 0.02, 50
# Pillow raised each of these for a damaged image while files were fuzzed.
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class _Look:
    identity: str
    size: str
    mode: str
    print: Print | None


def _look(path: Path) -> _Look | None:
    try:
        data = path.read_bytes()
        if image_kind(data) is None:  # Pillow reads more kinds than the service, which would refuse this one
            return None
        with Image.open(io.BytesIO(data)) as picture:
            size, mode = f"{picture.width}x{picture.height}", picture.mode
            taken = take_print(picture)
    except _BROKEN:
        return None
    return _Look(hashlib.sha256(data).hexdigest(), size, mode, taken)


def check(folder: Path, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Look at every image: unreadable ones, duplicates, near duplicates, leaks. Raises DataError."""
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
            if path.suffix.lower() in SUFFIXES and path not in listed and path.parent.name != "masks"
        ]
    report.records = _grouped(kept, looks, report, root)
    _note_leaks(report, root)
    if len({record.label for record in report.records}) < 2:
        raise DataError(f"{folder} holds images of one label only")
    return report


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _is_odd(look: _Look, report: Report) -> bool:
    """Whether few images (one in fifty at most) have this size or mode while nine in ten share another."""
    for own, counts in ((look.size, report.sizes), (look.mode, report.modes)):
        total = sum(counts.values())
        if max(counts.values()) >= 0.9 * total and counts[own] <= max(1, 0.02 * total):
            return True
    return False


def _grouped(records: list[Record], looks: list[_Look], report: Report, root: Path) -> list[Record]:
    """Records whose groups hold together what is the same; images with both labels are left out."""
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
