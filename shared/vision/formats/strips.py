"""Whether the strips or tiles of a TIFF are whole, as far as their compression can tell."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import ItemError
from shared.vision.accepted import corrupt
from shared.vision.formats import jpeg

_INFLATED_AT_ONCE = 2**20
_MOST_PADDING = 1000
MAX_RUNS = 4_000_000  # of PackBits; each costs a step of a Python loop


@dataclass(frozen=True, slots=True)
class Strip:
    """Place and length in the file, and the bytes that the strip has once it is decompressed."""

    offset: int
    length: int
    decoded: int


def check(data: bytes, strips: Sequence[Strip], compression: str, jpeg_tables: bytes) -> None:
    """Raises ItemError `corrupt_image` where a strip is cut or its contents contradict the header.

    LZW and Zstandard strips are left to libtiff, which stops at their errors. Uncompressed strips carry no
    evidence but their length.
    """
    runs = 0
    for strip in strips:
        if strip.length < 1 or strip.offset < 8 or strip.offset + strip.length > len(data):
            raise corrupt("a part of the image lies outside of the file")
        if compression == "none":
            if strip.length < strip.decoded:
                raise corrupt("a part of the image is shorter than its lines")
            continue
        body = data[strip.offset : strip.offset + strip.length]
        if compression == "Deflate":
            _check_deflate(body, strip.decoded)
        elif compression == "JPEG":
            jpeg.verify(jpeg_tables[:-2] + body[2:] if jpeg_tables else body)
        elif compression == "PackBits":
            runs += _check_packbits(body, strip.decoded, MAX_RUNS - runs)


def _check_deflate(body: bytes, decoded: int) -> None:
    # libtiff stops reading at the last line, before the checksum. A last strip may be padded with further lines.
    inflater, size, rest = zlib.decompressobj(), 0, body
    try:
        while not inflater.eof and rest and size <= _MOST_PADDING * decoded:
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
