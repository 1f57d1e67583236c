"""Folders whose names are labels, in any nesting, with or without train/ and test/ above them.

A folder next to `good` below `test` is a kind of defect, as in MVTec AD. Folders of masks are never read as images
of parts. Links to folders are followed.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from shared.contract.image_files import HEAD_BYTES, image_kind, skip_by_name
from training.data.masks import Masks, marks
from training.data.records import DataError, Listing, Record, Source, nearly_all_named
from training.data.views import parts_of_views
from training.data.words import NUMBERS, Words, names_kind, names_masks, split_of

_ACCEPTED = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff"}
# The service refuses these; they are listed, so that the report can name them.
_REFUSED = {
    ".gif",
    ".ppm",
    ".pgm",
    ".pnm",
    ".jp2",
    ".j2k",
    ".jxl",
    ".heic",
    ".heif",
    ".avif",
    ".ico",
    ".tga",
    ".dng",
}


def image_paths(folder: Path, broken: list[Path] | None = None) -> list[Path]:
    """Every file below a folder that looks like an image by its extension or by its first bytes, sorted; links that
    lead nowhere go to `broken`."""
    found = _walk(folder, frozenset(), [] if broken is None else broken)
    return sorted(path for path in found if _looks_like_image(path))


def _walk(folder: Path, above: frozenset[tuple[int, int]], broken: list[Path]) -> Iterator[Path]:
    """Files below a folder, links to folders included; a link to a folder above itself is not followed."""
    about = folder.stat()
    here = (about.st_dev, about.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = folder / entry.name
            if skip_by_name(entry.name) is not None:
                continue
            if entry.is_symlink() and not path.exists():
                broken.append(path)
            elif entry.is_dir():
                yield from _walk(path, above | {here}, broken)
            elif entry.is_file():
                yield path


def _looks_like_image(path: Path) -> bool:
    if path.suffix.lower() in _ACCEPTED | _REFUSED:
        return True
    with path.open("rb") as file:
        return image_kind(file.read(HEAD_BYTES)) is not None


def listed(source: Source) -> Listing:
    """The records of a folder. Raises DataError that names the folders where no word is a label."""
    root, words = source.path, source.words
    broken: list[Path] = []
    paths = image_paths(root, broken)
    masks = Masks(root, paths)
    names = {part for path in paths for part in path.relative_to(root).parts[:-1]}
    found = Listing([], masks=once(masks.files), broken_links=broken, idle_words=words.idle(names))
    kinds = _kinds_below_test(root, paths, words)
    for path in paths:
        if path in masks:
            continue
        above = path.relative_to(root).parts[:-1]
        label, kind = _label_and_kind(above, words, kinds)
        if label is None:
            found.ignored.append(path)
            continue
        split = next((name for part in above if (name := split_of(part))), None)
        found.records.append(Record(path, label, "", split, "", kind if label else "", masks.of(path)))
    if not found.records:
        _label_by_masks(root, found, masks)
    if not found.records:
        raise DataError(_no_labels(root, found))
    found.records = _each_once(found.records)
    found.ignored = once(found.ignored, besides=[record.path for record in found.records])
    parts = parts_of_views(root, [record.path for record in found.records])
    found.records = [replace(record, group=parts.get(record.path, "")) for record in found.records]
    found.has_groups = nearly_all_named(found.records)
    return found


def _each_once(records: list[Record]) -> list[Record]:
    """A file that links reach by several paths is one record. One for each label and each part of a split stays, for
    the bytes tell contradictions and leaks."""
    by_file: defaultdict[tuple[Path, int], dict[str | None, Record]] = defaultdict(dict)
    for record in records:
        by_file[record.path.resolve(), record.label].setdefault(record.split, record)
    for by_split in by_file.values():
        if len(by_split) > 1:
            by_split.pop(None, None)
    return [record for by_split in by_file.values() for record in by_split.values()]


def once(paths: Iterable[Path], *, besides: Iterable[Path] = ()) -> list[Path]:
    """Of several paths to one file the first, and none to a file of `besides`."""
    known = {path.resolve() for path in besides}
    first: dict[Path, Path] = {}
    for path in paths:
        if (file := path.resolve()) not in known:
            first.setdefault(file, path)
    return list(first.values())


def _label_by_masks(root: Path, found: Listing, masks: Masks) -> None:
    """Take images that no folder labels by their masks, where each of them has one: a marked pixel is a flaw."""
    flawed = {}
    for path in found.ignored:
        mask = masks.of(path)
        told = None if mask is None else marks(mask)
        if told is None:
            return
        flawed[path] = mask if told else None
    for path, mask in flawed.items():
        above = path.relative_to(root).parts[:-1]
        split = next((name for part in above if (name := split_of(part))), None)
        found.records.append(Record(path, int(mask is not None), "", split, mask=mask))
    found.ignored, found.labelled_by_masks = [], bool(flawed)


def _label_and_kind(
    above: tuple[str, ...], words: Words, kinds: set[tuple[str, ...]]
) -> tuple[int | None, str]:
    """The label that the nearest folder names, and the folder that says more about it."""
    for depth in range(len(above), 0, -1):
        name, below = above[depth - 1], above[depth:]
        label = 1 if above[:depth] in kinds else words.label(name)
        if label is not None:
            named_itself = above[:depth] in kinds or words.given(name) is not None
            more = [part for part in below if names_kind(part)]
            return label, more[-1] if more else name if named_itself else ""
    return next((NUMBERS[part.lower()] for part in reversed(above) if part.lower() in NUMBERS), None), ""


def _kinds_below_test(root: Path, paths: list[Path], words: Words) -> set[tuple[str, ...]]:
    """Folders that lie below `test` next to a folder of good parts, where no folder there says `defect`."""
    children: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in paths:
        parts = path.relative_to(root).parts[:-1]
        for depth, part in enumerate(parts[:-1], start=1):
            if split_of(part) == "test":
                children[parts[:depth]].add(parts[depth])
    kinds = set()
    for above, names in children.items():
        labels = {name: words.label(name) for name in names if not names_masks(name)}
        if 0 in labels.values() and 1 not in labels.values():
            kinds |= {(*above, name) for name, label in labels.items() if label is None}
    return kinds


def _no_labels(root: Path, found: Listing) -> str:
    start = (
        f"{root} holds no images below folders such as defect and no_defect (or good and bad, ok and nok, …)"
    )
    tables = sorted(path.name for path in root.glob("*.csv"))
    if tables:
        start += f"; to train by a table that is there, give its path: {', '.join(tables[:3])}"
    if found.broken_links:
        start += f"; {len(found.broken_links)} links lead nowhere, such as {found.broken_links[0]}"
    folders = Counter(path.relative_to(root).parent.as_posix() for path in found.ignored)
    if not folders:
        return start
    named = ", ".join(f"{name} ({count})" for name, count in folders.most_common(5))
    return f"{start}; images lie in {named}: say what they are with --good NAME and --defect NAME"
