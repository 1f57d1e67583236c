"""Whether the strips or tiles of a TIFF are whole, as far as their compression can tell."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import ItemError
from shared.vision.accepted import corrupt
from shared.vision.formats import jpeg

_INFLATED_AT_ONCE = 2**20
_PADDING = 16
MAX_RUNS = 4_000_000  # of PackBits; each costs a step of a Python loop


@dataclass(frozen=True, slots=True)
class Strip:
    """Place and length in the file, and the bytes that the strip has once it is decompressed."""

    offset: int
    length: int
    decoded: int


@dataclass(frozen=True, slots=True)
class Whole:
    """Facts about all strips of an image. `pixels` and `decoded` are those of a full strip or tile."""

    compression: str
    jpeg_tables: bytes
    pixels: int
    decoded: int


def check(data: bytes, strips: Sequence[Strip], whole: Whole) -> None:
    """Raises ItemError where a strip is cut, its contents contradict the header, or the check costs too much.

    LZW and Zstandard strips are left to libtiff, which stops at their errors. Uncompressed strips carry no
    evidence but their length.
    """
    # Strips that share bytes would let a small file cause the work of a large one.
    if whole.compression != "none" and sum(strip.length for strip in strips) > len(data):
        raise corrupt("the parts of the image overlap")
    runs = 0
    for strip in strips:
        length = strip.decoded if whole.compression == "none" else strip.length
        if strip.length < length:
            raise corrupt("a part of the image is shorter than its lines")
        if length < 1 or strip.offset < 8 or strip.offset + length > len(data):
            raise corrupt("a part of the image lies outside of the file")
        if whole.compression == "none":
            # Some writers pad the last strip to a full one, or a strip to a whole number of words.
            if strip.length > max(strip.decoded, whole.decoded) + _PADDING:
                raise corrupt("a part of the image has more lines than the header declares")
            continue
        body = data[strip.offset : strip.offset + length]
        if whole.compression == "Deflate":
            _check_deflate(body, strip.decoded, whole.decoded)
        elif whole.compression == "JPEG":
            tables = whole.jpeg_tables
            jpeg.verify(tables[:-2] + body[2:] if tables else body, whole.pixels)
        elif whole.compression == "PackBits":
            runs += _check_packbits(body, strip.decoded, MAX_RUNS - runs)


def _check_deflate(body: bytes, decoded: int, most: int) -> None:
    # libtiff stops reading at the last line, before the checksum. A last strip may be padded to a full one.
    inflater, size, rest = zlib.decompressobj(), 0, body
    try:
        while not inflater.eof and rest and size <= most:
            size += len(inflater.decompress(rest, _INFLATED_AT_ONCE))
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise corrupt("the compressed data of a part of the image are damaged") from error
    if not inflater.eof or size < decoded:
        raise corrupt("the compressed data of a part of the image end too early or too late")


def _check_packbits(body: bytes, decoded: int, most: int) -> int:
    place = size = runs = 0
    while size < decoded:
        if place >= len(body):
            raise corrupt("a part of the image ends before its last line")
        head = body[place]
        if head < 128:
            size, place = size + head + 1, place + head + 2
        elif head > 128:
            size, place = size + 257 - head, place + 2
        else:
            place += 1
        runs += 1
        if runs > most:
            raise ItemError("too_costly", f"more than {MAX_RUNS} runs of compressed pixels")
    # A pad byte may follow, and only that.
    if size != decoded or not place <= len(body) <= place + 1:
        raise corrupt("a part of the image has another length than its lines")
    return runs
