"""The lines of a manifest: CSV with a header line, or NDJSON if its first character is a brace."""

import codecs
import contextlib
import csv
import io
import threading
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple, cast

from shared import json_text
from shared.contract.csv_cells import restored
from shared.contract.manifests import MANIFEST_COLUMNS, ManifestLine, Tags, tags_of
from shared.contract.problems import ErrorEntry
from web.http import validators
from web.http.problems import HttpProblem

MAX_ERRORS = 50
_MAX_LINE = (
    2**16
)  # characters of a line, and of a record of several lines: names, ids and 4 kB of metadata need less
_AT_ONCE = 500  # lines that are checked by one call, which takes half the time of a call for each
_CHARACTERS_AT_ONCE = 2**17  # of the lines of one call: a line of JSON takes thirty times its size in memory
_parsing = threading.Lock()  # one call at a time, so that the memory of these lines is there once
Row = tuple[int, object, int]  # the number of a line, its value or its problem, and its characters
_DELIMITERS = ",;\t"  # a spreadsheet writes the one of its country


class Line(NamedTuple):
    """A line of the manifest at `place` (from 0, the header not counted), which begins at line `number` of the file."""

    place: int
    number: int
    filename: str
    tags: Tags


def read_lines(file: IO[bytes], most: int, first_of: Callable[[str, int], int]) -> Iterator[list[Line]]:
    """Every line, some at a time; all have been checked once the last have come.

    Raises 422 that names each bad line, and 413 for more than `most` lines. `first_of(custom_id, number)` keeps the
    number of the first line with a custom_id, and returns it.
    """
    errors, place = list[ErrorEntry](), 0
    rows = _rows(file)
    while True:
        with _parsing:
            block = _next_rows(rows)
            made = list(_checked(place, block))
        lines = [each for each in made if isinstance(each, Line)]
        for each in made:
            errors += _repeated(each, first_of) if isinstance(each, Line) else each
        if lines and not errors:
            yield lines
        place += len(block)
        if place > most:
            raise HttpProblem(413, "too_many_items", f"the manifest has more than {most} lines")
        if not block or len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise refused(errors)


def _rows(file: IO[bytes]) -> Iterator[Row]:
    file.seek(0)
    start = file.read(_MAX_LINE).removeprefix(codecs.BOM_UTF8)
    file.seek(0)
    yield from _of_json(file) if start.lstrip()[:1] == b"{" else _of_csv(file, start)


def _next_rows(rows: Iterator[Row]) -> list[Row]:
    found, characters = list[Row](), 0
    for row in rows:
        found.append(row)
        characters += row[2]
        if len(found) == _AT_ONCE or characters > _CHARACTERS_AT_ONCE:
            break
    return found


def _checked(first: int, rows: list[Row]) -> Iterator[Line | list[ErrorEntry]]:
    """Each row as a line, or its errors; `first` is the place of the first row."""
    try:
        given = [given for _, given, _ in rows]
        if any(isinstance(each, HttpProblem) for each in given):
            raise refused([])
        checked = validators.check(list[ManifestLine], given, _place(first))
    except HttpProblem:  # at least one is bad: look at each by itself
        for place, (number, each, _) in enumerate(rows, first):
            try:
                yield _line(place, number, each)
            except HttpProblem as problem:
                yield [_at(number, each, entry) for entry in problem.errors or []]
        return
    for place, ((number, _, _), each) in enumerate(zip(rows, checked, strict=True), first):
        yield Line(place, number, each["filename"], tags_of(each))


def _line(index: int, number: int, given: object) -> Line:
    if isinstance(given, HttpProblem):
        raise given
    checked = cast(ManifestLine, validators.check(ManifestLine, given, _place(index)))
    return Line(index, number, checked["filename"], tags_of(checked))


def refused(errors: list[ErrorEntry]) -> HttpProblem:
    """A manifest that can't be used: 422 with an entry for each of the first bad lines."""
    shown = "; ".join(_sentence(entry) for entry in errors[:3])
    return HttpProblem(
        422, "invalid_manifest", f"the manifest can't be used: {shown}", errors=errors[:MAX_ERRORS]
    )


def _sentence(entry: ErrorEntry) -> str:
    return f"line {entry['line']}: {entry['detail']}" if "line" in entry else entry["detail"]


def _text_lines(file: IO[bytes], newline: str) -> Iterator[str]:
    """The lines, each with its end. Raises 422 for one that is too long, before it is read."""
    text, number = io.TextIOWrapper(file, "utf-8-sig", newline=newline), 0
    try:
        while line := text.readline(_MAX_LINE + 1):
            number += 1
            if len(line) > _MAX_LINE:
                raise _too_long(number)
            yield line
    except UnicodeDecodeError:
        number = _line_of_other_bytes(file)
        raise refused([_wrong("it is not UTF-8: save it as CSV UTF-8", line=number)]) from None
    finally:
        with contextlib.suppress(ValueError):  # the file is closed already
            text.detach()  # else it would close the file


def _line_of_other_bytes(file: IO[bytes]) -> int:
    """The line of the first bytes that are no UTF-8; the reader of lines knows their place in its block alone."""
    decoder, number = codecs.getincrementaldecoder("utf-8")(), 1
    file.seek(0)
    try:
        while block := file.read(2**16):
            number += decoder.decode(block).count("\n")
    except UnicodeDecodeError as error:
        number += error.object.count(b"\n", 0, error.start)
    return number


def _too_long(number: int) -> HttpProblem:
    return refused([_wrong(f"it has more than {_MAX_LINE} characters", line=number)])


def _wrong(detail: str, *, line: int, pointer: str = "") -> ErrorEntry:
    return {
        "code": "invalid_manifest",
        "detail": detail,
        "pointer": f"/manifest{pointer}",
        "line": line,
    }


def _of_json(file: IO[bytes]) -> Iterator[Row]:
    """Each line that is not blank; the value is a problem for a line that is not JSON."""
    # Split at line feeds alone: the other characters that str.splitlines knows may stand in a JSON string.
    for number, line in enumerate(_text_lines(file, "\n"), 1):
        if line.strip():
            yield number, _parsed(line, "it", number), len(line)


def _parsed(text: str, what: str, number: int) -> object:
    try:
        return json_text.parse(text)
    except json_text.NotJson as error:
        return refused([_wrong(f"{what} is not JSON: {error}", line=number)])


def _of_csv(file: IO[bytes], start: bytes) -> Iterator[Row]:
    """The cells of each record by column, or its problem; an empty cell counts as absent."""
    header = start.lstrip(b"\r\n").partition(b"\n")[0].decode(errors="replace")
    delimiter = next((each for each in _DELIMITERS if each in header), ",")
    size = 0  # of the record in hand, which quoted line breaks may spread over any number of lines

    def lines() -> Iterator[str]:
        nonlocal size
        for line in _text_lines(file, ""):
            size += len(line)
            if size > _MAX_LINE:
                raise _too_long(number)
            yield line

    reader = csv.reader(lines(), strict=True, delimiter=delimiter)
    columns: list[str] = []
    number = 1
    try:
        for cells in reader:
            if columns and any(cells):
                yield number, _record(columns, cells, number), size
            elif any(cells):
                columns = _columns(cells, number)
            number, size = reader.line_num + 1, 0
    except csv.Error as error:
        raise refused([_wrong(f"it is no CSV: {error}", line=number)]) from error
    if not columns:
        raise refused([_wrong("it is empty", line=1)])


def _columns(cells: list[str], number: int) -> list[str]:
    columns = [cell.strip() for cell in cells]
    unknown = [column for column in columns if column not in MANIFEST_COLUMNS]
    if unknown or len({*columns}) < len(columns) or "filename" not in columns:
        named = f"unknown column {unknown[0]!r}" if unknown else "the columns are not right"
        detail = f"{named}: the header names filename, and each of {', '.join(Tags._fields)} at most once"
        raise refused([_wrong(detail, line=number)])
    return columns


def _record(columns: list[str], cells: list[str], number: int) -> dict[str, object] | HttpProblem:
    if any(cells[len(columns) :]):
        return refused([_wrong(f"it has {len(cells)} cells, the header {len(columns)}", line=number)])
    # A cell that `results` defused for a spreadsheet is the text again that was sent.
    given = {column: restored(cell) for column, cell in zip(columns, cells, strict=False) if cell}
    if "metadata" not in given:
        return {**given}
    metadata = _parsed(given["metadata"], "metadata", number)
    return metadata if isinstance(metadata, HttpProblem) else {**given, "metadata": metadata}


def _place(index: int) -> validators.Place:
    return validators.Place(f"/manifest/{index}", "invalid_manifest", "invalid_manifest", "the manifest")


def _at(number: int, given: object, entry: ErrorEntry) -> ErrorEntry:
    """An error with its line, and the file name where the line has one."""
    name = given.get("filename") if isinstance(given, dict) else None
    named: ErrorEntry = {"filename": name} if isinstance(name, str) else {}
    return {**entry, "line": number, **named}


def _repeated(line: Line, first_of: Callable[[str, int], int]) -> list[ErrorEntry]:
    """The error of a line whose custom_id an earlier one has."""
    custom_id = line.tags.custom_id
    if custom_id is None or (first := first_of(custom_id, line.number)) == line.number:
        return []
    return [
        {
            "code": "duplicate_custom_id",
            "detail": f"the custom_id {custom_id!r} is that of line {first} too",
            "pointer": f"/manifest/{line.place}/custom_id",
            "line": line.number,
            "filename": line.filename,
        }
    ]
