"""A CSV with the columns file and label and, where known, group, split, kind, mask and sha256.

Excel's habits are read as well: a byte order mark, semicolons, a first line `sep=;`, backslashes in paths and
the Windows code page.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from shared.contract.csv_cells import restored
from training.data.folders import image_paths, once
from training.data.masks import Masks, marks
from training.data.records import DataError, Listing, Record, Source, nearly_all_named, root_of
from training.data.words import Words, names_masks, number_of, plain, split_of

_NAMES = ("images.csv", "image_anno.csv", "labels.csv", "annotations.csv")
_COLUMNS = {
    "file": ("file", "filename", "file_name", "image", "image_path", "path"),
    "label": ("label", "class", "verdict", "result"),
    "group": ("group", "part", "part_id", "serial"),
    "split": ("split", "set", "subset"),
    "kind": ("kind", "defect_kind", "defect_type", "anomaly_class"),
    "mask": ("mask", "mask_path"),
    "sha256": ("sha256",),
}
_DELIMITERS = (",", ";", "\t", "|")


def table_in(folder: Path) -> Path | None:
    """The table of a folder: images.csv, else another usual name whose columns fit."""
    for name in _NAMES:
        table = folder / name
        if table.is_file() and (name == _NAMES[0] or {"file", "label"} <= _columns(_header(table)).keys()):
            return table
    return None


def listed(table: Path, source: Source) -> Listing:
    """The records of a table and the images below its folder that it does not name; raises DataError with the line
    that cannot be read."""
    lines = _lines(table)
    columns = _columns(lines[0][1]) if lines else {}
    missing = sorted({"file", "label"} - columns.keys())
    if missing:
        raise DataError(
            f"{table.name} has no column {' and no column '.join(missing)}; its first line names them"
        )
    found = Listing([], from_table=True)
    words: set[str] = set()
    for number, cells in lines[1:]:
        row = {name: cells[place].strip() if place < len(cells) else "" for name, place in columns.items()}
        if any(cells):
            found.records.append(_record(table, number, row, source.words))
            words.add(row["label"])
    found.idle_words = source.words.idle(words)
    if not found.records:
        raise DataError(f"{table} lists no images")
    found.has_groups = nearly_all_named(found.records)
    _look_around(found, root_of(source.path), everywhere=source.path.is_dir())
    return found


def _may_mark(mask: Path) -> bool:
    """Whether a mask marks a pixel, or is there and can't be read."""
    marked = marks(mask)
    return mask.is_file() if marked is None else marked


def _record(table: Path, number: int, row: dict[str, str], words: Words) -> Record:
    word, mask = row["label"], row.get("mask", "")
    label = words.given(word)
    if label is None:
        told = number_of(word)
        label = words.label(word) if told is None else told
    kind = row.get("kind", "")
    # VisA writes the kind of defect where others write the label; a mask that marks nothing says no such thing.
    if label is None and mask and _may_mark(_resolved(table, mask)):
        label, kind = 1, kind or word
    if not row["file"] or label is None:
        raise DataError(
            f"{table.name}, line {number}: needs a file and a label such as defect or no_defect, not {word!r}; "
            "say what other words mean with --good WORD and --defect WORD"
        )
    return Record(
        _resolved(table, row["file"]),
        label,
        restored(row.get("group", "")),  # a part's number in an exported table may begin as a formula does
        split_of(row.get("split", "")),
        row.get("sha256", "").lower(),
        kind if label else "",
        _resolved(table, mask) if mask else None,
    )


def _resolved(table: Path, text: str) -> Path:
    """Relative to the table's folder, or to the folder above it, as VisA writes it."""
    names = [each.replace("\\", "/").removeprefix("./") for each in (text, restored(text))]
    paths = (base / name for name in names for base in table.parents[:2])
    return next((path for path in paths if path.is_file()), table.parent / names[0])


def _look_around(found: Listing, folder: Path, *, everywhere: bool) -> None:
    """Masks for the records, and the images that the table leaves out. A table without its folder may lie among
    anything, so only folders of masks next to it are read then."""
    folders = [folder]
    if not everywhere:
        folders = [below for below in folder.iterdir() if names_masks(below.name) and below.is_dir()]
    paths = [path for each in folders for path in image_paths(each, found)]
    masks = Masks(folder, paths)
    named = {record.path for record in found.records}
    told = [record.mask for record in found.records if record.mask is not None and record.mask.is_file()]
    found.masks = once([*told, *masks.files], besides=named)
    found.ignored = once(paths, besides=[*named, *found.masks])
    for place, record in enumerate(found.records):
        if record.mask is None and (mask := masks.of(record.path)) is not None and mask not in named:
            found.records[place] = replace(record, mask=mask)


def _header(table: Path) -> list[str]:
    return next(iter(_lines(table)), (0, []))[1]


def _lines(table: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line with content; the first one names the columns."""
    text = _text(table.read_bytes())
    first = 1
    if text[:4].lower() == "sep=":
        text, first = text.partition("\n")[2], 2
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    return list(_rows(text, delimiter, first))


def _rows(text: str, delimiter: str, first: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield first + reader.line_num - 1, cells
    except csv.Error as error:
        raise DataError(f"line {first + reader.line_num - 1} of the table: {error}") from error


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _columns(header: list[str]) -> dict[str, int]:
    """The place of each known column; of two names for one column, the more usual one counts."""
    names = [plain(cell) for cell in header]
    return {
        column: next(names.index(alias) for alias in aliases if alias in names)
        for column, aliases in _COLUMNS.items()
        if any(alias in names for alias in aliases)
    }
