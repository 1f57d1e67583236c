"""PNG: every chunk's CRC, the end chunk, the length of the pixel data, and the header rules.

Pillow checks the CRC of no image data chunk, so that a changed byte may pass it. It also stops at the last line that
the header declares, so that a wrong height would hide the rest of the image.
"""

import zlib

from shared.errors import ItemError
from shared.vision.accepted import Layout, Limits, check_size, corrupt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 50_000  # each costs a call into Pillow's parser
_INFLATED_AT_ONCE = 2**18
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BYTES_PER_PIXEL = {0: 5, 2: 8, 3: 10, 4: 10, 6: 10}


def inspect(data: bytes, limits: Limits, *, animated: bool = False) -> Layout:
    """Walk the chunks. Raises ItemError where one is damaged or missing, or the image is not accepted.

    `animated` lets several frames pass.
    """
    view = memoryview(data)
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise corrupt("the PNG does not begin with its header")
    layout = _layout(data)
    check_size(layout, limits, bytes_per_pixel=_BYTES_PER_PIXEL.get(data[25], 10))
    place, seen, pixels = len(SIGNATURE), 0, list[memoryview]()
    while True:
        if place + 12 > len(data):
            raise corrupt("the PNG ends without its end chunk")
        length = int.from_bytes(data[place : place + 4])
        name = data[place + 4 : place + 8]
        after = place + 12 + length
        if after > len(data):
            raise corrupt("the PNG ends in the middle of a chunk")
        # A lower-case first letter marks a chunk that no pixel depends on.
        harmless = name[0] & 0x20 and "png_ancillary_checksum" in limits.tolerated
        if (
            zlib.crc32(view[place + 4 : after - 4]) != int.from_bytes(data[after - 4 : after])
            and not harmless
        ):
            raise corrupt("the checksum of a chunk is wrong")
        if (
            name == b"acTL"
            and not animated
            and length >= 4
            and int.from_bytes(data[place + 8 : place + 12]) > 1
        ):
            raise ItemError("multiple_frames", "an animated PNG, and only one frame can be judged")
        if name == b"IDAT":
            pixels.append(view[place + 8 : after - 4])
        if name == b"IEND":
            break
        place, seen = after, seen + 1
        if seen > MAX_CHUNKS:
            raise ItemError("too_costly", f"more than {MAX_CHUNKS} chunks")
    if not pixels:
        raise corrupt("the PNG has no image data")
    _check_length(pixels, decoded_bytes(layout, interlaced=data[28] == 1))
    return layout


def decoded_bytes(layout: Layout, *, interlaced: bool) -> int:
    """The bytes of all lines, each with its filter byte."""
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        width, height = -(-(layout.width - left) // across), -(-(layout.height - top) // down)
        if width > 0 and height > 0:
            total += height * (1 + -(-width * layout.channels * layout.bits // 8))
    return total


def _check_length(pixels: list[memoryview], expected: int) -> None:
    """Raises ItemError where the compressed data hold more or fewer lines than the header declares."""
    inflater, size = zlib.decompressobj(), 0
    try:
        for part in pixels:
            rest: bytes | memoryview = part
            while rest and not inflater.eof and size <= expected:
                size += len(inflater.decompress(rest, _INFLATED_AT_ONCE))
                rest = inflater.unconsumed_tail
            if inflater.eof or size > expected:
                break
    except zlib.error as error:
        raise corrupt("the compressed data are damaged") from error
    if size != expected:
        raise corrupt("the PNG has another number of lines than its header declares")


def _layout(data: bytes) -> Layout:
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return Layout(width, height, _CHANNELS.get(data[25], 0), bits=data[24])
