"""Sound files of every accepted format, and the ways in which a disk, a network or a program harms them."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

Harm = Callable[[bytes, random.Random], bytes | None]
"""The harmed file, or None where the format has no such thing."""

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {"quality": 90}),
    "JPEG, progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "JPEG, restart markers": ("JPEG", {"quality": 90, "restart_marker_rows": 1}),
    "PNG": ("PNG", {}),
    "WebP, lossy": ("WEBP", {"quality": 90}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "TIFF, uncompressed": ("TIFF", {}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "TIFF, Deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF, PackBits": ("TIFF", {"compression": "packbits"}),
    "TIFF, JPEG": ("TIFF", {"compression": "jpeg", "quality": 90}),
    "BMP": ("BMP", {}),
}


def encoded(image: Image.Image, name: str) -> bytes:
    kind, options = FORMATS[name]
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Place, name and body of every chunk."""
    place = 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        yield place, data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def payload(data: bytes) -> tuple[int, int]:
    """Where the compressed pixels begin and end, as nearly as the harm needs it."""
    if data.startswith(b"\xff\xd8"):
        start = data.index(b"\xff\xda")
        return start + 2 + int.from_bytes(data[start + 2 : start + 4]), len(data) - 2
    if data.startswith(b"\x89PNG"):
        return data.index(b"IDAT") + 4, len(data) - 16
    if data.startswith(b"BM"):
        return int.from_bytes(data[10:14], "little"), len(data)
    if data.startswith(b"RIFF"):
        return 40, len(data)
    with Image.open(io.BytesIO(data)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined] # a TIFF has it
        first = min(tags[273])
        return first, max(a + b for a, b in zip(tags[273], tags[279], strict=True))


def cut(data: bytes, _: random.Random) -> bytes:
    start, end = payload(data)
    return data[: (start + end) // 2]


def cut_and_closed(data: bytes, chance: random.Random) -> bytes | None:
    """Cut in the middle, and everything that a program can close is closed: end marker, sizes, checksum."""
    start, end = payload(data)
    middle = (start + end) // 2
    if data.startswith(b"\xff\xd8"):
        return data[:middle] + b"\xff\xd9"
    if data.startswith(b"\x89PNG"):
        body = data[start:middle]
        return data[: start - 8] + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    if data.startswith(b"RIFF"):
        middle -= middle % 2
        head = b"RIFF" + struct.pack("<I", middle - 8) + data[8:16] + struct.pack("<I", middle - 20)
        return head + data[20:middle]
    if data.startswith(b"BM"):
        return data[:2] + struct.pack("<I", middle) + data[6:middle]
    return None


def last_part_missing(data: bytes, _: random.Random) -> bytes | None:
    """Cut between two parts of the image data and closed: without a progressive JPEG's last scan, or at a restart."""
    if not data.startswith(b"\xff\xd8"):
        return None
    start, end = payload(data)
    marks = [
        place
        for place in range(start, end)
        if data[place] == 0xFF and data[place + 1] in (*range(0xD0, 0xD8), 0xDA)
    ]
    return data[: marks[-1]] + b"\xff\xd9" if marks else None


def half_zeroed(data: bytes, _: random.Random) -> bytes:
    start, end = payload(data)
    middle = (start + end) // 2
    return data[:middle] + bytes(end - middle) + data[end:]


def two_kb_zeroed(data: bytes, _: random.Random) -> bytes:
    start, end = payload(data)
    first = start + (end - start) // 3
    length = min(2048, (end - start) // 3)
    return data[:first] + bytes(length) + data[first + length :]


def two_kb_missing(data: bytes, _: random.Random) -> bytes:
    start, end = payload(data)
    first = start + (end - start) // 3
    return data[:first] + data[first + min(2048, (end - start) // 3) :]


def byte_changed(data: bytes, chance: random.Random) -> bytes:
    start, end = payload(data)
    place = chance.randrange(start, end)
    return data[:place] + bytes([data[place] ^ chance.randrange(1, 256)]) + data[place + 1 :]


def checksum_wrong(data: bytes, _: random.Random) -> bytes | None:
    if not data.startswith(b"\x89PNG"):
        return None
    place, _name, body = next(entry for entry in png_chunks(data) if entry[1] == b"IDAT")
    at = place + 8 + len(body)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


HARMS: dict[str, Harm] = {
    "cut in the middle": cut,
    "cut, then closed": cut_and_closed,
    "last part missing": last_part_missing,
    "second half zeroed": half_zeroed,
    "2 kB zeroed": two_kb_zeroed,
    "2 kB missing": two_kb_missing,
    "one byte changed": byte_changed,
    "wrong CRC": checksum_wrong,
}
