"""Folders whose names are labels, in any nesting, with or without train/ and test/ above them.

Folders of masks are never read as images of parts. Links to folders are followed.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from shared.contract.image_files import HEAD_BYTES, HIDDEN, claims_image, image_kind, skip_by_name
from training.data.labels import Labels, Named
from training.data.mask_pixels import stray_masks
from training.data.masks import Masks, marks
from training.data.records import SETTLE, DataError, Listing, Record, Source, folders_of, nearly_all_named
from training.data.views import parts_of_views
from training.data.words import split_of

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


def image_paths(folder: Path, found: Listing | None = None) -> list[Path]:
    """Every file below a folder that looks like an image by its extension or by its first bytes, sorted; links that
    lead nowhere and what is hidden go to `found`."""
    found = Listing([]) if found is None else found
    return sorted(path for path in _walk(folder, frozenset(), found) if _looks_like_image(path))


def _walk(folder: Path, above: frozenset[tuple[int, int]], found: Listing) -> Iterator[Path]:
    """Files below a folder, links to folders included; a link to a folder above itself is not followed."""
    about = folder.stat()
    here = (about.st_dev, about.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = folder / entry.name
            if (reason := skip_by_name(entry.name)) is not None:
                if reason == HIDDEN and _holds_image(path):
                    found.hidden.append(path)
                continue
            if entry.is_symlink() and not path.exists():
                found.broken_links.append(path)
            elif entry.is_dir():
                yield from _walk(path, above | {here}, found)
            elif entry.is_file():
                yield path


def _holds_image(path: Path) -> bool:
    """Whether a hidden file is an image, or one lies in a hidden folder, by the ends of the names."""
    try:
        names = [each.name for each in path.iterdir()] if path.is_dir() else [path.name]
    except PermissionError:  # what is hidden need not be readable
        return False
    return any(claims_image(name) for name in names)


def _looks_like_image(path: Path) -> bool:
    if path.suffix.lower() in _ACCEPTED | _REFUSED:
        return True
    with path.open("rb") as file:
        return image_kind(file.read(HEAD_BYTES)) is not None


def listed(source: Source) -> Listing:
    """The records of a folder. Raises DataError that names the folders where no word is a label."""
    root, words = source.path, source.words
    found = Listing([])
    paths = image_paths(root, found)
    masks = Masks(root, paths)
    images = [path for path in paths if path not in masks]
    labels = Labels(root, images, words)
    names = {root.resolve().name} | {name for path in paths for name in labels.above(path)}
    found.masks, found.idle_words, found.ignored = once(masks.files), words.idle(names), images

    def take(named: Callable[[Path], Named]) -> None:
        """Label the images that no label has reached so far."""
        found.ignored, left = [], found.ignored
        for path in left:
            told, above = named(path), labels.above(path)
            split = next((name for part in above if (name := split_of(part))), None)
            if told.label is not None:
                found.records.append(Record(path, told.label, "", split, "", told.kind, masks.of(path)))
            else:
                (found.disputed if told.disputed else found.ignored).append(path)

    take(labels.by_words)
    if not found.records and not found.disputed:
        take(labels.by_numbers)
    if not found.records and not found.disputed:
        take(_by_masks(found.ignored, masks))
        found.labelled_by_masks = bool(found.records)
        found.records = [record if record.label else replace(record, mask=None) for record in found.records]
    top = labels.by_top(alone=not found.records and not found.disputed)
    take(lambda path: top)
    if not found.records:
        raise DataError(_no_labels(root, found))
    _leave_out_twins(found)
    _leave_out_masks(found)
    parts = parts_of_views(root, [record.path for record in found.records])
    found.records = [replace(record, group=parts.get(record.path, "")) for record in found.records]
    found.has_groups = found.views_tell = nearly_all_named(found.records)
    return found


def _leave_out_twins(found: Listing) -> None:
    """A file that links reach by several paths is used once, by a path that says its label."""
    found.records = _each_once(found.records)
    known = [record.path for record in found.records]
    found.disputed = once(found.disputed, besides=known)
    found.ignored = once(found.ignored, besides=[*known, *found.disputed])


def _each_once(records: list[Record]) -> list[Record]:
    """Keep one record for each file, label and part of a split. `check` finds contradictions and leaks by the bytes."""
    by_file: defaultdict[tuple[Path, int], dict[str | None, Record]] = defaultdict(dict)
    for record in records:
        by_file[record.path.resolve(), record.label].setdefault(record.split, record)
    for by_split in by_file.values():
        if len(by_split) > 1:
            by_split.pop(None, None)
    return [record for by_split in by_file.values() for record in by_split.values()]


def once(paths: Iterable[Path], *, besides: Iterable[Path] = ()) -> list[Path]:
    """The first of several paths to one file. Paths to files of `besides` are left out."""
    known = {path.resolve() for path in besides}
    first: dict[Path, Path] = {}
    for path in paths:
        if (file := path.resolve()) not in known:
            first.setdefault(file, path)
    return list(first.values())


def _by_masks(images: list[Path], masks: Masks) -> Callable[[Path], Named]:
    """The label that the mask of an image tells, where each of `images` has one: a marked pixel is a flaw."""
    told = {}
    for path in images:
        mask = masks.of(path)
        marked = None if mask is None else marks(mask)
        if marked is None:
            return lambda path: Named(None)
        told[path] = Named(int(marked))
    return told.__getitem__


def _leave_out_masks(found: Listing) -> None:
    """Set aside the masks that belong to no image by their names, unless most images look like masks."""
    alone = stray_masks([record.path for record in found.records if record.mask is None])
    if 2 * len(alone) <= len(found.records):
        found.stray_masks, known = alone, set(alone)
        found.records = [record for record in found.records if record.path not in known]


def _no_labels(root: Path, found: Listing) -> str:
    start = (
        f"{root} holds no images below folders such as defect and no_defect (or good and bad, ok and nok, …)"
    )
    tables = sorted(path.name for path in root.glob("*.csv"))
    if tables:
        start += f"; to train by a table that is there, give its path: {', '.join(tables[:3])}"
    if found.broken_links:
        start += f"; {len(found.broken_links)} links lead nowhere, such as {found.broken_links[0]}"
    if found.disputed:
        start += f"; folders name both labels above {folders_of(found.disputed, root)}: {SETTLE}"
    if not found.ignored:
        return start
    lie = folders_of(found.ignored, root)
    return f"{start}; images lie in {lie}: say what they are with --good NAME and --defect NAME"
