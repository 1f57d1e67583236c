"""Look at every image of a folder before training: unreadable files, duplicates, groups, leaks."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from shared.errors import ItemError
from shared.vision.accepted import check_proportions
from training.data.accepted import accepted
from training.data.likeness import Groups, alike
from training.data.load import listing
from training.data.look import Look, look
from training.data.proposals import groups_by_name
from training.data.records import (
    ALONE,
    SETTLE,
    DataError,
    Record,
    Source,
    contradicting,
    name_of,
    root_of,
    shown,
    source_of,
)
from training.data.report import Report, report_of
from training.data.turned import turned_views
from training.progress import Say

# A set joined by likeness alone stays below this, or a run of frames, each like the next, would join everything.
_LARGEST_SHARE, _LARGEST_AT_LEAST = 0.02, 50


def check(
    folder: Path | Source,
    *,
    full_scale: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Look at every image by the rules of the service; the report's records are those that `train` trains.

    Raises DataError where nothing can be trained.
    """
    source = source_of(folder)
    listed, root = listing(source), root_of(source.path)
    if not any(record.path.is_file() for record in listed.records):
        raise DataError(
            f"{source.path}: not one of its {len(listed.records)} files is there; paths start at the table's folder or "
            f"at the one above it, and the first was looked for as {listed.records[0].path}"
        )
    report = report_of(listed, source)
    found = _looks(listed.records, full_scale, progress)
    kept, looks = _usable(listed.records, found, report, root)
    report.sizes = dict(Counter(f"{look.width}x{look.height}" for look in looks).most_common())
    report.modes = dict(Counter(look.mode for look in looks).most_common())
    report.odd = [name_of(r.path, root) for r, look in zip(kept, looks, strict=True) if _is_odd(look, report)]
    report.named = sum(bool(record.group) for record in kept)
    report.records = _grouped(kept, looks, report, root, full_scale)
    report.note_leaks(root)
    if not any(record.label == 0 for record in report.records):
        raise DataError(_too_few(source.path, report))
    return report


def apart(folder: Path | Source, looked: Report, *, full_scale: int | None = None, say: Say) -> list[Record]:
    """The records of another folder, which is the test part; its findings are said, and `looked` keeps its report.
    Raises DataError where it shares an image with the one that was looked at."""
    other = check(folder, full_scale=full_scale)
    say(f"the test part, {other.folder}:\n{other.as_text()}")
    known = {record.identity for record in looked.records}
    if any(record.identity in known for record in other.records):
        raise DataError(f"{other.folder} holds images that are also in {looked.folder}")
    looked.tested = other
    return other.records


def _looks(
    records: Sequence[Record], full_scale: int | None, progress: Callable[[int, int], None] | None
) -> list[Look | ItemError]:
    looks = []
    with ThreadPoolExecutor(2) as pool:
        found = partial(look, within=accepted(), full_scale=full_scale)
        for taken in pool.map(found, [record.path for record in records]):
            looks.append(taken)
            if progress is not None and len(looks) % 200 == 0:
                progress(len(looks), len(records))
    return looks


def _usable(
    records: Sequence[Record], found: Sequence[Look | ItemError], report: Report, root: Path
) -> tuple[list[Record], list[Look]]:
    """The records that the service would judge, with their looks; the others are named in the report."""
    whole = [taken for taken in found if isinstance(taken, Look)]
    usual = (1, 1)
    if whole:
        usual = round(np.median([w.width for w in whole])), round(np.median([w.height for w in whole]))
    kept, looks = [], []
    for record, taken in zip(records, found, strict=True):
        name = name_of(record.path, root)
        refused = _misshapen(taken, usual) if isinstance(taken, Look) else taken
        if refused is not None:
            report.refuse(name, refused)
        elif isinstance(taken, Look):
            if record.identity and record.identity != taken.identity:
                report.changed.append(name)
            kept.append(replace(record, identity=taken.identity, kind=shown(record.kind)))
            looks.append(taken)
    return kept, looks


def _misshapen(taken: Look, usual: tuple[int, int]) -> ItemError | None:
    try:
        check_proportions(taken.width, taken.height, usual)
    except ItemError as error:
        return error
    return None


def _too_few(path: Path, report: Report) -> str:
    sentence = f"{path} holds images of one label only, and no good ones"
    if not report.records:
        sentence = f"{path} holds no image that can be learned"
    if report.unreadable:
        sentence += f"; {len(report.unreadable)} images were left out ({report.refusals()})"
    if report.broken_links:
        sentence += f"; {len(report.broken_links)} links lead nowhere, such as {report.broken_links[0]}"
    if report.ignored:
        sentence += f"; no label reaches {report.ignored_folders}: {report.advice()}"
    if report.disputed:
        sentence += f"; folders name both labels above {report.disputed_folders}: {SETTLE}"
    return sentence


def _is_odd(look: Look, report: Report) -> bool:
    """Whether few images (one in fifty at most) have this size or mode while nine in ten share another."""
    for own, counts in ((f"{look.width}x{look.height}", report.sizes), (look.mode, report.modes)):
        total = sum(counts.values())
        if max(counts.values()) >= 0.9 * total and counts[own] <= max(1, 0.02 * total):
            return True
    return False


def _grouped(
    records: list[Record], looks: list[Look], report: Report, root: Path, full_scale: int | None
) -> list[Record]:
    """Records whose groups hold together what is the same; images with both labels are left out."""
    by_identity: defaultdict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        by_identity[record.identity].append(place)
    both = contradicting(records)
    report.contradictions = [
        [name_of(records[p].path, root) for p in by_identity[identity]] for identity in sorted(both)
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
        report.proposed = _joined(
            groups_by_name(records, [look.print for look in looks]), records, groups, root
        )
        if not report.proposed and not report.named:
            report.turned = _joined(turned_views(records, looks, full_scale), records, groups, root)
    given: dict[int, str] = {}
    for place, record in enumerate(records):
        if record.group:
            given.setdefault(groups.root(place), record.group)
    return [
        replace(record, group=given.get(groups.root(place), f"{ALONE}{groups.root(place)}"))
        for place, record in enumerate(records)
        if record.identity not in both
    ]


def _joined(proposed: list[list[int]], records: list[Record], groups: Groups, root: Path) -> list[list[str]]:
    """The names of the images of each proposal, which become one group."""
    for places in proposed:
        for place in places[1:]:
            groups.join(place, places[0])
    return [[name_of(records[p].path, root) for p in places] for places in proposed]


def _join_alike(records: list[Record], looks: list[Look], groups: Groups, report: Report) -> None:
    """Near duplicates into one group, the most alike first, so that a refused join is the least certain."""
    largest = max(_LARGEST_AT_LEAST, int(_LARGEST_SHARE * len(records)))
    pairs = sorted(alike([look.print for look in looks]), key=lambda pair: -pair[2])
    for one, other, _ in pairs:
        if records[one].identity == records[other].identity:
            continue
        report.near_duplicates += 1
        report.near_with_both_labels += records[one].label != records[other].label
        report.joins_refused += not groups.join(one, other, largest=largest)
