"""A manifest meets the images: each line belongs to the image of its name, in the order of the lines.

The lines wait in a SQLite file of their own: as Python objects a million of them took 500 MB.
"""

import hashlib
import json
import os
import sqlite3
import tempfile
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import IO

from shared.blobs import disk
from shared.contract.fields import MAX_LABEL
from shared.contract.manifests import Tags
from shared.contract.problems import ErrorEntry
from shared.lifecycle.tagging import Stored
from web.upload.manifest_text import MAX_ERRORS, Line, read_lines, refused

_NO_TAGS = Tags()
_ITEMS_AT_ONCE = 5000
IN_MEMORY_BYTES = 2**17  # a smaller manifest needs no file
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
CREATE TABLE ids (custom_id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;
CREATE TABLE lines (place INTEGER PRIMARY KEY, number INTEGER, key TEXT, filename TEXT, tags TEXT);
CREATE TABLE late (seq INTEGER PRIMARY KEY, tags TEXT);
CREATE INDEX ix_lines_key ON lines (key);
"""


class Manifest:
    """The lines that no image has taken yet. `folder` is for a file that has no name and ends with this object.

    Images of one name take the lines of that name in turn. An image without a line has no tags; a line without an
    image is an error.
    """

    def __init__(self, file: IO[bytes], most: int, folder: Path) -> None:
        file.seek(0)
        self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        is_small = file.tell() <= IN_MEMORY_BYTES
        with disk.errors():
            self._lines = (
                sqlite3.connect(":memory:", check_same_thread=False) if is_small else _unnamed(folder)
            )
            self._lines.isolation_level = None
            self._lines.executescript(_TABLES)
            self._lines.execute("BEGIN")
            for lines in read_lines(file, most, self._first_of):
                self._lines.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", map(_row, lines))
            self._lines.execute("DROP TABLE ids")

    def _first_of(self, custom_id: str, number: int) -> int:
        """The number of the first line with this custom_id; `number` for a new one."""
        kept = self._lines.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (custom_id, number))
        if kept.rowcount == 1:
            return number
        found = self._lines.execute("SELECT number FROM ids WHERE custom_id = ?", (custom_id,))
        return int(found.fetchone()[0])

    def take(self, filename: str) -> Tags | None:
        """The tags of the next image of this name."""
        found = self._lines.execute(
            "UPDATE lines SET key = NULL WHERE place = (SELECT min(place) FROM lines WHERE key = ?) RETURNING tags",
            (_key(filename),),
        ).fetchone()
        return None if found is None else Tags(*json.loads(found[0])) if found[0] else _NO_TAGS

    def take_late(self, items: Iterable[Stored]) -> bool:
        """Give items that came before the manifest their tags, for `late` to show; whether one is a view of a part."""
        has_parts = False
        for _, frames in groupby(items, attrgetter("file")):
            file = list(frames)
            if (tags := self.take(file[0].filename)) is not None:
                has_parts = has_parts or tags.part_id is not None
                rows = [
                    (item.seq, json.dumps(of_frame(tags, at, len(file)))) for at, item in enumerate(file, 1)
                ]
                self._lines.executemany("INSERT INTO late VALUES (?, ?)", rows)
        return has_parts

    def late(self, first: int = 0, below: int = 2**62) -> Iterator[dict[int, Tags]]:
        """The tags that `take_late` gave to the items from place `first` on, below `below`, some at a time."""
        query = "SELECT seq, tags FROM late WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        while rows := self._lines.execute(query, (first, below, _ITEMS_AT_ONCE)).fetchall():
            yield {seq: Tags(*json.loads(tags)) for seq, tags in rows}
            first = rows[-1][0] + 1

    def check_taken(self) -> None:
        """Raise 422 for the lines that name no image of the submission."""
        left = self._lines.execute(
            "SELECT place, number, filename FROM lines WHERE key IS NOT NULL ORDER BY place LIMIT ?",
            (MAX_ERRORS,),
        )
        if first := left.fetchall():
            raise refused([_unknown(*each) for each in first])

    def repeats(self, custom_ids: Collection[str]) -> list[ErrorEntry]:
        """The errors of the lines that give an image one of these ids, which an earlier image of the batch has."""
        wanted = {
            *custom_ids,
            *(each.rpartition("#")[0] for each in custom_ids),
        }  # of_frame() added the place
        lines = self._lines.execute(
            "SELECT place, number, filename, tags FROM lines WHERE tags <> '' ORDER BY place"
        )
        named = ((*line, json.loads(tags)[0]) for *line, tags in lines)
        return [_repeat(*each) for each in islice((each for each in named if each[-1] in wanted), MAX_ERRORS)]


def of_frame(tags: Tags, number: int, frames: int) -> Tags:
    """The tags of one of several items of an image file: a custom_id is unique, so the place in the file follows it."""
    if frames == 1 or tags.custom_id is None:
        return tags
    made = f"{tags.custom_id}#{number}"
    if len(made) > MAX_LABEL:
        detail = f"the custom_id {made!r} of a frame has {len(made)} characters; at most {MAX_LABEL} are kept"
        raise refused([{"code": "invalid_manifest", "detail": detail, "pointer": "/manifest"}])
    return tags._replace(custom_id=made)


def _unnamed(folder: Path) -> sqlite3.Connection:
    """A database in a file whose name is gone at once, so that no crash leaves it behind."""
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    try:
        # Its own thread uses it, or one after another: a request may begin in one thread and end in another.
        made = sqlite3.connect(name, check_same_thread=False)
        made.execute("PRAGMA user_version = 1")  # opens the file
        return made
    finally:
        Path(name).unlink()


def _row(line: Line) -> tuple[int, int, str, str, str]:
    tags = json.dumps(line.tags) if line.tags != _NO_TAGS else ""
    return line.place, line.number, _key(line.filename), line.filename, tags


def _key(filename: str) -> str:
    # A Mac writes `é` as two characters into an archive, and a spreadsheet writes one.
    return filename if filename.isascii() else unicodedata.normalize("NFC", filename)


def _unknown(place: int, number: int, filename: str) -> ErrorEntry:
    return {
        "code": "unknown_file",
        "detail": f"no image of the name {filename!r} came with it",
        "pointer": f"/manifest/{place}/filename",
        "line": number,
        "filename": filename,
    }


def _repeat(place: int, number: int, filename: str, custom_id: str) -> ErrorEntry:
    return {
        "code": "duplicate_custom_id",
        "detail": f"the custom_id {custom_id!r} is that of an image that came before",
        "pointer": f"/manifest/{place}/custom_id",
        "line": number,
        "filename": filename,
    }
