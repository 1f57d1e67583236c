"""PNG: every chunk's CRC, the end chunk, and the header rules.

Pillow checks the CRC of no image data chunk, so that a changed byte may pass it.
"""

import zlib

from shared.errors import ItemError
from shared.vision.accepted import Layout, Limits, check_size, corrupt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 50_000  # each costs a call into Pillow's parser
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
    place, seen, pixels = len(SIGNATURE), 0, False
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
        pixels |= name == b"IDAT"
        if name == b"IEND":
            break
        place, seen = after, seen + 1
        if seen > MAX_CHUNKS:
            raise ItemError("too_costly", f"more than {MAX_CHUNKS} chunks")
    if not pixels:
        raise corrupt("the PNG has no image data")
    return layout


def _layout(data: bytes) -> Layout:
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return Layout(width, height, _CHANNELS.get(data[25], 0), bits=data[24])
