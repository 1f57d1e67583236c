"""The images of one file: one rule for the upload, which makes an item of each, and for the decoder.

Frames are numbered from 1. They are counted from the container alone, without decoding a pixel. A container that this
module does not understand counts as a single image, and the decoder then judges it whole or refuses it: no frame is
left out silently.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from shared.contract.image_files import image_kind

MOST_FRAMES = 256  # of one file: its items share a chunk
_NOT_AN_IMAGE = 0b101  # bits of TIFF's tag 254: a reduced version of another image, a mask
_LARGE_THUMBNAIL = 0x01  # the class of an MPO entry that is a preview


class Cut(NamedTuple):
    """Frame `number` as a file of its own: `length` bytes from `start`, with `patches` (place, bytes) put in."""

    number: int
    start: int
    length: int
    patches: tuple[tuple[int, bytes], ...] = ()


def frame_numbers(data: bytes) -> tuple[int, ...]:
    """The frames of a file that holds several images and is read as such; empty for every other file.

    Reduced versions and masks of other images are left out. A file of more than MOST_FRAMES counts as not understood.
    """
    kind = image_kind(data)
    if kind in ("TIFF", "JPEG"):
        return tuple(cut.number for cut in _cuts(data))
    count = {"PNG": _of_png, "WEBP": _of_webp}[kind](data) if kind in ("PNG", "WEBP") else 0
    return tuple(range(1, count + 1)) if 1 < count <= MOST_FRAMES else ()


def cut_out(data: bytes, number: int) -> bytes | None:
    """A page of a TIFF or an image of an MPO as a file of its own; None where there is no such frame."""
    for cut in _cuts(data):
        if cut.number == number:
            file = bytearray(data[cut.start : cut.start + cut.length])
            for place, patch in cut.patches:
                file[place : place + len(patch)] = patch
            return bytes(file)
    return None


def _cuts(data: bytes) -> list[Cut]:
    try:
        return _of_tiff(data) if image_kind(data) == "TIFF" else _of_mpo(data)
    except (struct.error, IndexError, _Odd):
        return []


class _Odd(Exception):
    """The container is not as its format has it."""


def _of_tiff(data: bytes) -> list[Cut]:
    """A page is the same file whose header names the page's directory, and that directory no next one."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word, head, entry = (order + "Q", 8, 20) if big else (order + "I", 4, 12)
    size, seen, cuts = struct.calcsize(word), set[int](), []
    (place,) = struct.unpack_from(word, data, head)
    while place:
        if place in seen or len(seen) == MOST_FRAMES:
            raise _Odd
        seen.add(place)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, place)
        first = place + (8 if big else 2)
        (following,) = struct.unpack_from(word, data, first + count * entry)
        if not _is_reduced(data, order, first, min(count, 4), entry):
            patches = (
                (head, struct.pack(word, place)),
                (first + count * entry, bytes(size)),
            )
            cuts.append(Cut(len(seen), 0, len(data), patches))
        place = following
    return cuts if len(seen) > 1 else []


def _is_reduced(data: bytes, order: str, first: int, count: int, entry: int) -> bool:
    """Whether the tag 254, among the first of a directory since tags are sorted, says that it is no image itself."""
    for number in range(count):
        at = first + number * entry
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag == 254 and kind in (3, 4):
            (value,) = struct.unpack_from(
                order + ("H" if kind == 3 else "I"), data, at + entry - (8 if entry == 20 else 4)
            )
            return bool(value & _NOT_AN_IMAGE)
    return False


def _of_mpo(data: bytes) -> list[Cut]:
    """The images that the index of an MPO (CIPA DC-007) names; each reaches up to the next, so that none is hidden."""
    base = _index(data)
    order = "<" if data[base : base + 2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, base + 4)
    (count,) = struct.unpack_from(order + "H", data, base + directory)
    entries: list[tuple[int, int]] = []
    for number in range(min(count, 16)):
        tag, _, length, value = struct.unpack_from(order + "HHII", data, base + directory + 2 + number * 12)
        if tag == 0xB002:  # of 16 bytes for each image
            if length > 16 * MOST_FRAMES:
                raise _Odd
            for place in range(length // 16):
                attribute, _, offset = struct.unpack_from(order + "III", data, base + value + place * 16)
                entries.append((base + offset if offset else 0, attribute >> 16 & 0xFF))
    starts = [start for start, _ in entries]
    if (
        len(entries) < 2
        or sorted(starts) != starts
        or any(data[start : start + 2] != b"\xff\xd8" for start in starts)
    ):
        raise _Odd
    ends = [*starts[1:], len(data)]
    return [
        Cut(number, start, end - start)
        for number, ((start, kind), end) in enumerate(zip(entries, ends, strict=True), 1)
        if kind != _LARGE_THUMBNAIL
    ]


def _index(data: bytes) -> int:
    """The place of the MPO index, which offsets count from."""
    place = 2
    while data[place : place + 1] == b"\xff" and data[place + 1] not in (0xDA, 0xD9):
        if data[place + 1] == 0xE2 and data[place + 4 : place + 8] == b"MPF\0":
            return place + 8
        (length,) = struct.unpack_from(">H", data, place + 2)
        place += 2 + max(length, 2)
    raise _Odd


def _of_png(data: bytes) -> int:
    """The frames of an animated PNG; an image in front that is no part of the animation counts as one more."""
    animated = first = 0
    declared = None
    for name, start in _png_chunks(data):
        if name == b"acTL":
            declared = int.from_bytes(data[start : start + 4])
        elif name == b"fcTL":
            animated += 1
        elif name == b"IDAT" and not animated and not first:
            first = 1
    return animated + first if declared is not None and declared == animated else 0


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    place = 8
    while place + 12 <= len(data):
        yield data[place + 4 : place + 8], place + 8
        place += 12 + int.from_bytes(data[place : place + 4])


def _of_webp(data: bytes) -> int:
    return sum(name == b"ANMF" for name, _, _ in webp_chunks(data))


def webp_chunks(data: bytes, place: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of each chunk's body."""
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], place + 8, place + 8 + length
        place += 8 + length + length % 2
