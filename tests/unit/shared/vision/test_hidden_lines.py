"""A header that declares fewer lines than the file holds hides a part of the image: the file is corrupt."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.preprocess import decode

SPEC = Preprocessing(width=32, height=32, channels=3)
IMAGE = Image.linear_gradient("L").resize((64, 48)).convert("RGB")


def encoded(kind: str, image: Image.Image = IMAGE, **options: Any) -> bytearray:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def png_of_height(height: int, rest: bytes = b"", interlace: int = 0) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    lines = b"".join(b"\0" + IMAGE.crop((0, y, 64, y + 1)).tobytes() for y in range(48))
    header = struct.pack(">IIBBBBB", 64, height, 8, 2, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines) + rest)
        + chunk(b"IEND", b"")
    )


def tiff_of_height(height: int, **options: Any) -> bytes:
    data = encoded("TIFF", **options)
    (at,) = struct.unpack_from("<I", data, 4)
    for place in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12):
        if struct.unpack_from("<H", data, place)[0] == 257:
            struct.pack_into("<H", data, place + 8, height)
    return bytes(data)


def bmp_of_height(height: int) -> bytes:
    data = encoded("BMP")
    struct.pack_into("<i", data, 22, height)
    return bytes(data)


@pytest.mark.parametrize("make", [png_of_height, tiff_of_height, bmp_of_height])
@pytest.mark.parametrize("height", [24, 40, 47])
def test_a_file_with_more_lines_than_its_header_declares_is_corrupt(make, height: int) -> None:  # type: ignore[no-untyped-def]
    assert decode(make(48), SPEC).shape == (32, 32, 3)
    with pytest.raises(ItemError) as refused:
        decode(make(height), SPEC)
    assert refused.value.code == "corrupt_image"


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(64, 48), (33, 17), (17, 16)])
def test_sound_pngs_of_every_kind_are_judged(mode: str, size: tuple[int, int]) -> None:
    image = IMAGE.resize(size)
    image = Image.new("I;16", size, 30_000) if mode == "I;16" else image.convert(mode)
    spec = Preprocessing(width=32, height=32, channels=1, full_scale=65535) if mode == "I;16" else SPEC
    assert decode(bytes(encoded("PNG", image)), spec).size


def test_sound_interlaced_pngs_are_judged() -> None:
    from shared.vision.accepted import Layout
    from shared.vision.formats.png import decoded_bytes

    # 8 x 8 pixels of one byte: seven passes of 1, 1, 2, 4, 8, 16 and 32 pixels in 1+1+1+2+2+4+4 lines.
    assert decoded_bytes(Layout(8, 8, 1), interlaced=True) == 64 + 15
    assert decoded_bytes(Layout(1, 1, 1), interlaced=True) == 2
