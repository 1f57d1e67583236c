"""A manifest meets the images: each line belongs to the image of its name, in the order of the lines."""

import hashlib
import heapq
import unicodedata
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

from shared.contract.manifests import Tags
from shared.contract.problems import ErrorEntry
from shared.lifecycle.tagging import Stored
from web.upload.manifest_text import MAX_ERRORS, Line, read_lines, refused


class Manifest:
    """The lines that no image has taken yet, by file name.

    Images of one name take the lines of that name in turn. An image without a line has no tags; a line without an
    image is an error.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self.sha256 = hashlib.sha256(data).hexdigest()
        # A list for each of a million names would take half as much memory again.
        self._by_name: dict[str, Line | list[Line]] = {}
        for line in reversed(read_lines(data, most)):
            there = self._by_name.setdefault(_key(line.filename), line)
            if isinstance(there, list):
                there.append(line)
            elif there is not line:
                self._by_name[_key(line.filename)] = [there, line]

    def take(self, filename: str) -> Tags | None:
        """The tags of the next image of this name."""
        key = _key(filename)
        there = self._by_name.get(key)
        if isinstance(there, list):
            return there.pop().tags if there else None
        self._by_name.pop(key, None)
        return None if there is None else there.tags

    def take_late(self, items: Iterable[Stored]) -> dict[int, Tags]:
        """The tags of items that came before the manifest, by their place in the batch."""
        taken: dict[int, Tags] = {}
        for _, frames in groupby(items, attrgetter("file")):
            file = list(frames)
            if (tags := self.take(file[0].filename)) is not None:
                taken |= {item.seq: of_frame(tags, at, len(file)) for at, item in enumerate(file, 1)}
        return taken

    def check_taken(self) -> None:
        """Raise 422 for the lines that name no image of the submission."""
        left = (line for there in self._by_name.values() for line in _listed(there))
        if first := heapq.nsmallest(MAX_ERRORS, left):
            raise refused([_unknown(line) for line in first])


def of_frame(tags: Tags, number: int, frames: int) -> Tags:
    """The tags of one of several items of an image file: a custom_id is unique, so the place in the file follows it."""
    if frames == 1 or tags.custom_id is None:
        return tags
    return tags._replace(custom_id=f"{tags.custom_id}#{number}")


def _listed(there: Line | list[Line]) -> list[Line]:
    return there if isinstance(there, list) else [there]


def _key(filename: str) -> str:
    # A Mac writes `é` as two characters into an archive, and a spreadsheet writes one.
    return filename if filename.isascii() else unicodedata.normalize("NFC", filename)


def _unknown(line: Line) -> ErrorEntry:
    return {
        "code": "unknown_file",
        "detail": f"no image of the name {line.filename!r} came with it",
        "pointer": f"/manifest/{line.place}/filename",
        "line": line.number,
        "filename": line.filename,
    }
