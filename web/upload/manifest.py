"""A manifest meets the images: each line belongs to the image of its name, in the order of the lines."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

from shared.contract.manifests import Tags
from shared.contract.problems import ErrorEntry
from shared.lifecycle.tagging import Stored
from web.upload.manifest_text import Line, read_lines, refused


class Manifest:
    """The lines that no image has taken yet, by file name.

    Images of one name take the lines of that name in turn. An image without a line has no tags; a line without an
    image is an error.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._by_name: defaultdict[str, list[Line]] = defaultdict(list)
        for line in reversed(read_lines(data, most)):
            self._by_name[_key(line.filename)].append(line)

    def take(self, filename: str) -> Tags | None:
        """The tags of the next image of this name."""
        lines = self._by_name.get(_key(filename))
        return lines.pop().tags if lines else None

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
        left = sorted(line for lines in self._by_name.values() for line in lines)
        if left:
            raise refused([_unknown(line) for line in left])


def of_frame(tags: Tags, number: int, frames: int) -> Tags:
    """The tags of one of several items of an image file: a custom_id is unique, so the place in the file follows it."""
    if frames == 1 or tags.custom_id is None:
        return tags
    return tags._replace(custom_id=f"{tags.custom_id}#{number}")


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
