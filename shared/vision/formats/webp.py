"""WebP: the container's sizes, frames, and whether the decoder needs the data to their end.

Neither kind of WebP carries a checksum, but both end in a code that has no slack: the decoder of a sound image
reads the last bytes. Where it does not miss the last `_PROBE` bytes, the code before them was changed.
"""

import io
import struct
from collections.abc import Iterator

from PIL import Image

from shared.errors import ItemError
from shared.vision.accepted import Layout, Limits, check_size, corrupt

MAX_CHUNKS = 10_000
_PROBE = 16  # encoders that pad the data to 16 bytes still pass; sound images missed 4 in every case tried
_IMAGE = (b"VP8 ", b"VP8L")


def inspect(data: bytes, limits: Limits, *, animated: bool = False) -> Layout:
    """Raises ItemError where the container is cut, holds several frames, or is too large to decode.

    `animated` lets several frames pass; the size is then that of the canvas.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise corrupt("the WebP ends before its declared size")
    frames = images = 0
    for name, _first, after in _chunks(data, end):
        if after > end:
            raise corrupt("the WebP ends in the middle of a chunk")
        frames += name == b"ANMF"
        images += name in _IMAGE
    if frames > 1 and not animated:
        raise ItemError("multiple_frames", "an animated WebP, and only one frame can be judged")
    if not frames and images != 1:
        raise corrupt("the WebP has no image data")
    layout = _layout(data)
    check_size(layout, limits, bytes_per_pixel=21)
    return layout


def check_tail(data: bytes) -> None:
    """Decode without the last bytes of the image data, which must fail. Raises ItemError `corrupt_image`."""
    end = 8 + int.from_bytes(data[4:8], "little")
    for name, first, after in _chunks(data, end):
        if name in _IMAGE and after - first > 4 * _PROBE:
            kept = after - first - _PROBE
            body = (
                data[12 : first - 4] + struct.pack("<I", kept) + data[first : first + kept] + bytes(kept % 2)
            )
            shorter = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
            if _decodes(shorter):
                raise corrupt("the image is complete before its data end")


def _decodes(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            image.load()
    except MemoryError:
        raise
    except Exception:  # Pillow's decoders raise nearly every built-in error on broken data
        return False
    return True


def _chunks(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of each chunk's body."""
    place = 12
    for _ in range(MAX_CHUNKS):
        if place + 8 > end:
            return
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], place + 8, place + 8 + length
        place += 8 + length + length % 2
    raise ItemError("too_costly", f"more than {MAX_CHUNKS} chunks")


def _layout(data: bytes) -> Layout:
    name = data[12:16]
    if name == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return Layout(width, height, 4)
    if name == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return Layout(1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF), 4)
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return Layout(width, height, 3)
