"""The first directory of a TIFF: the few tags that decide whether the image is judged, read before Pillow reads any."""

import struct
from enum import IntEnum

from shared.vision.accepted import corrupt

MAX_TAGS = 1000
MAX_VALUES = 500_000


class Tag(IntEnum):
    """The tags that are read; all hold whole numbers."""

    KIND = 254  # a bit each for a reduced version, a page and a mask
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_LENGTHS = 279
    PLANES = 284
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_LENGTHS = 325
    INNER_IMAGES = 330
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347


# TIFF's number for a type: BYTE, SHORT, LONG, UNDEFINED, IFD, LONG8, IFD8.
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
_READ = frozenset(Tag)


def read_directory(data: bytes) -> tuple[dict[int, tuple[int, ...]], int]:
    """The values of each known tag, and the place of the second directory, 0 where there is none.

    Raises ItemError `corrupt_image` where the directory lies outside the file or is not one.
    """
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word, width = ("Q", 8) if big else ("I", 4)
    try:
        (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        if count > MAX_TAGS:
            raise corrupt(f"the TIFF's directory names {count} tags")
        first, entry_size = start + (8 if big else 2), 12 + 2 * (width - 4)
        entries = [struct.unpack_from(f"{order}HH{word}", data, first + i * entry_size) for i in range(count)]
        tags = {}
        for i, (tag, kind, values) in enumerate(entries):
            if tag not in _READ or kind not in _TYPES:
                continue
            if not 1 <= values <= MAX_VALUES:
                raise corrupt(f"the TIFF's tag {tag} has {values} values")
            at = first + i * entry_size + 4 + width
            if values * struct.calcsize(_TYPES[kind]) > width:
                (at,) = struct.unpack_from(order + word, data, at)
            tags[tag] = struct.unpack_from(f"{order}{values}{_TYPES[kind]}", data, at)
        (following,) = struct.unpack_from(order + word, data, first + count * entry_size)
    except struct.error as error:
        raise corrupt("the TIFF ends before its description does") from error
    return tags, following
