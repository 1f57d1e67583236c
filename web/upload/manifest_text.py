"""The lines of a manifest: CSV with a header line, or NDJSON if its first character is a brace."""

import csv
import io
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from shared import json_text
from shared.contract.manifests import MANIFEST_COLUMNS, ManifestLine, Tags, tags_of
from shared.contract.problems import ErrorEntry
from web.http import validators
from web.http.problems import HttpProblem

_MAX_ERRORS = 50
_DELIMITERS = ",;\t"  # a spreadsheet writes the one of its country


class Line(NamedTuple):
    """A line of the manifest at `place` (from 0, the header not counted), which begins at line `number` of the file."""

    place: int
    number: int
    filename: str
    tags: Tags


def read_lines(data: bytes, most: int) -> list[Line]:
    """Every line. Raises 422 that names each bad line, and 413 for more than `most` lines."""
    text = _decoded(data)
    rows = _of_json(text) if text.lstrip()[:1] == "{" else _of_csv(text)
    lines, errors, ids = list[Line](), list[ErrorEntry](), dict[str, int]()
    for index, (number, given) in enumerate(rows):
        if index == most:
            raise HttpProblem(413, "too_many_items", f"the manifest has more than {most} lines")
        if len(errors) >= _MAX_ERRORS:
            break
        try:
            line = _line(index, number, given)
        except HttpProblem as problem:
            errors += [_at(number, given, entry) for entry in problem.errors or []]
            continue
        lines.append(line)
        if line.tags.custom_id is not None:
            first = ids.setdefault(line.tags.custom_id, number)
            if first != number:
                errors.append(_repeated(line, first))
    if errors:
        raise refused(errors)
    return lines


def _line(index: int, number: int, given: Any) -> Line:
    if isinstance(given, HttpProblem):
        raise given
    checked = cast(ManifestLine, validators.check(ManifestLine, given, _place(index)))
    return Line(index, number, checked["filename"], tags_of(checked))


def refused(errors: list[ErrorEntry]) -> HttpProblem:
    """A manifest that can't be used: 422 with an entry for each of the first bad lines."""
    shown = "; ".join(_sentence(entry) for entry in errors[:3])
    return HttpProblem(
        422, "invalid_manifest", f"the manifest can't be used: {shown}", errors=errors[:_MAX_ERRORS]
    )


def _sentence(entry: ErrorEntry) -> str:
    return f"line {entry['line']}: {entry['detail']}" if "line" in entry else entry["detail"]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refused([_wrong("it is not UTF-8: save it as CSV UTF-8", line=line)]) from error


def _wrong(detail: str, *, line: int, pointer: str = "") -> ErrorEntry:
    return {
        "code": "invalid_manifest",
        "detail": detail,
        "pointer": f"/manifest{pointer}",
        "line": line,
    }


def _of_json(text: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of each line that is not blank; the value is a problem for a line that is not JSON."""
    # Split at line feeds alone: the other characters that str.splitlines knows may stand in a JSON string.
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if line.strip():
            yield number, _parsed(line, "it", number)


def _parsed(text: str, what: str, number: int) -> Any:
    try:
        return json_text.parse(text)
    except json_text.NotJson as error:
        return refused([_wrong(f"{what} is not JSON: {error}", line=number)])


def _of_csv(text: str) -> Iterator[tuple[int, Any]]:
    """(line, cells by column) of each record, or (line, problem); an empty cell counts as absent."""
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = next((each for each in _DELIMITERS if each in header), ",")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    columns: list[str] = []
    number = 1
    try:
        for cells in reader:
            if columns and any(cells):
                yield number, _record(columns, cells, number)
            elif any(cells):
                columns = _columns(cells, number)
            number = reader.line_num + 1
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


def _record(columns: list[str], cells: list[str], number: int) -> dict[str, Any] | HttpProblem:
    if any(cells[len(columns) :]):
        return refused([_wrong(f"it has {len(cells)} cells, the header {len(columns)}", line=number)])
    given: dict[str, Any] = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
    if "metadata" in given:
        given["metadata"] = _parsed(given["metadata"], "metadata", number)
        if isinstance(given["metadata"], HttpProblem):
            return given["metadata"]
    return given


def _place(index: int) -> validators.Place:
    return validators.Place(f"/manifest/{index}", "invalid_manifest", "invalid_manifest", "the manifest")


def _at(number: int, given: Any, entry: ErrorEntry) -> ErrorEntry:
    """An error with its line, and the file name where the line has one."""
    name = given.get("filename") if isinstance(given, dict) else None
    named: ErrorEntry = {"filename": name} if isinstance(name, str) else {}
    return {**entry, "line": number, **named}


def _repeated(line: Line, first: int) -> ErrorEntry:
    return {
        "code": "duplicate_custom_id",
        "detail": f"the custom_id {line.tags.custom_id!r} is that of line {first} too",
        "pointer": f"/manifest/{line.place}/custom_id",
        "line": line.number,
        "filename": line.filename,
    }
