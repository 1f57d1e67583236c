"""The images that a draft holds, found among the files of a submission by their names and contents."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.client.errors import OtherImages, UnusableInput
from shared.client.multipart import File

if TYPE_CHECKING:
    from shared.contract.items import ItemPayload

Image = tuple[
    str, str
]  # its name, and the sha256 of its bytes; or "" for an empty one, or the code of its refusal
_TOO_LARGE = "too_large"
# The service reads a name with one of these as an escape, or as an encoded word.
_READ_ANOTHER_WAY = ('"', "%", "\\", "=?")


def found(batch_id: str, items: Iterable[ItemPayload], files: Sequence[File]) -> set[int]:
    """The places among `files` of those that the draft's items are; reads the files whose names the draft holds.

    Raises OtherImages where an item is none of the files, and UnusableInput for a file that can't be read.
    """
    held = Counter(_images(items))
    names = {name for name, _ in held}
    places: set[int] = set()
    unsure: list[int] = []
    for place, file in enumerate(files):
        name = _kept_name(file.name)
        if name is None:
            unsure.append(place)
        elif name in names and _take(held, [(name, _digest(file)), (name, _TOO_LARGE)]):
            places.add(place)
    if unsure and held.total():
        # The service may have read these names another way: their contents alone tell.
        by_content = defaultdict[str, list[Image]](list)
        for image in held.elements():
            by_content[image[1]].append(image)
        for place in unsure:
            if _take(held, by_content[_digest(files[place])]):
                places.add(place)
    if others := sorted(held.elements()):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise OtherImages(
            f"{batch_id} holds {others[0][0]!r}{more}, which these files are not, or not with this content: resume it "
            "with the files that its sending began with, or delete it and submit again"
        )
    return places


def _images(items: Iterable[ItemPayload]) -> Iterable[Image]:
    """The image files of items; a file that was split into its frames is several items, one after the other."""
    before: tuple[Image, int] | None = None
    for item in items:
        image = (item["filename"], _content(item))
        frame = item["frame"] or 0
        if not (before is not None and frame and before[0] == image and before[1] < frame):
            yield image
        before = (image, frame)


def _content(item: ItemPayload) -> str:
    """The service keeps no sha256 of an image that it refused: it was empty, or too large."""
    if item["sha256"] is not None:
        return item["sha256"]
    return _TOO_LARGE if item["error"] is not None and item["error"]["code"] == _TOO_LARGE else ""


def _kept_name(sent: bytes) -> str | None:
    """The name that an image has at the service; None where the service may read another one from these bytes."""
    try:
        name = sent.decode()
    except UnicodeDecodeError:
        return None
    return None if not name or any(sign in name for sign in _READ_ANOTHER_WAY) else name


def _digest(file: File) -> str:
    """The sha256 of a file's bytes; "" for an empty one."""
    if not file.size:
        return ""
    if isinstance(file.source, bytes):
        return hashlib.sha256(file.source).hexdigest()
    try:
        with Path(file.source).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UnusableInput(f"{file.source}: {error.strerror}") from error


def _take(held: Counter[Image], images: Iterable[Image]) -> bool:
    """Take away the first of the images that is still there; False where none is."""
    image = next((each for each in images if held[each]), None)
    if image is not None:
        held[image] -= 1
    return image is not None
