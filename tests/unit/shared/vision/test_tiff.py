"""TIFF layouts that docs/images.md declares: the pixels of each, or its code."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits
from shared.vision.preprocess import decode

GREY = Preprocessing(width=100, height=100, channels=1)
FULL = Preprocessing(width=100, height=100, channels=1, full_scale=65535)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(data: bytes, spec: Preprocessing = GREY) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data, spec, Limits())
    return caught.value


def tiff(bits: int, sample_format: int, samples: int = 1, planes: int = 1, photometric: int = 1) -> bytes:
    """A TIFF of 32 x 32 pixels with the given layout, all bytes 64."""
    body = bytes([64]) * (32 * 32 * samples * bits // 8)
    per_strip = len(body) // (samples if planes == 2 else 1)
    strips = samples if planes == 2 else 1
    tags: list[tuple[int, int, list[int]]] = [
        (256, 3, [32]), (257, 3, [32]), (258, 3, [bits] * samples), (259, 3, [1]), (262, 3, [photometric]),
        (273, 4, [8 + i * per_strip for i in range(strips)]), (277, 3, [samples]), (278, 3, [32]),
        (279, 4, [per_strip] * strips), (284, 3, [planes]), (339, 3, [sample_format] * samples),
    ]  # fmt: skip
    start, extra, entries = 8 + len(body), b"", b""
    for tag, kind, values in tags:
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            place = start + 2 + 12 * len(tags) + 4 + len(extra)
            extra, packed = extra + packed, struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", start)
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4) + extra


@pytest.mark.parametrize(
    ("layout", "accepted"),
    [
        ({"bits": 8, "sample_format": 1}, True),
        ({"bits": 16, "sample_format": 1}, True),
        ({"bits": 8, "sample_format": 1, "samples": 3, "photometric": 2}, True),
        ({"bits": 16, "sample_format": 1, "samples": 3, "photometric": 2}, True),
        ({"bits": 8, "sample_format": 1, "samples": 3, "planes": 2, "photometric": 2}, True),
        ({"bits": 16, "sample_format": 1, "samples": 3, "planes": 2, "photometric": 2}, False),
        ({"bits": 8, "sample_format": 2}, False),
        ({"bits": 16, "sample_format": 2}, False),
        ({"bits": 32, "sample_format": 2}, False),
        ({"bits": 16, "sample_format": 3}, False),
        ({"bits": 64, "sample_format": 3}, False),
        ({"bits": 16, "sample_format": 6}, False),
        ({"bits": 8, "sample_format": 1, "samples": 2, "planes": 2}, False),
        ({"bits": 8, "sample_format": 1, "samples": 5, "photometric": 2}, False),
        ({"bits": 8, "sample_format": 1, "photometric": 32803}, False),
        ({"bits": 16, "sample_format": 1, "samples": 4, "photometric": 5}, False),
    ],
)
def test_a_tiff_is_judged_only_in_a_declared_layout(layout: dict[str, int], accepted: bool) -> None:
    if accepted:
        assert set(np.unique(decode(tiff(**layout), FULL))) == {64}
    else:
        assert refusal(tiff(**layout), FULL).code == "unsupported_media"


def test_twelve_packed_bits_are_read() -> None:
    """Bytes of 0x40 hold the 12-bit values 0x404 and 0x040 in turns."""
    pixels = decode(tiff(bits=12, sample_format=1), Preprocessing(32, 32, 1, full_scale=4095))
    assert set(np.unique(pixels)) == {round(0x404 * 255 / 4095), round(0x040 * 255 / 4095)}


@pytest.mark.parametrize("compression", ["zstd", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_a_compressed_tiff_has_the_pixels_of_an_uncompressed_one(mode: str, compression: str) -> None:
    ramp = Image.linear_gradient("L").resize((40, 40))
    image = (
        Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257) if mode == "I;16" else ramp.convert(mode)
    )
    spec = Preprocessing(40, 40, 1, full_scale=65535 if mode == "I;16" else 255)
    expected = decode(encoded(image, "TIFF"), spec)
    assert np.array_equal(decode(encoded(image, "TIFF", compression=compression), spec), expected)
    assert expected.std() > 60


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_a_fax_compressed_tiff_is_unsupported(compression: str) -> None:
    data = encoded(Image.new("1", (32, 32)), "TIFF", compression=compression)
    assert refusal(data).code == "unsupported_media"


def test_an_image_that_costs_too_much_memory_is_refused_before_decoding() -> None:
    assert refusal(encoded(Image.new("RGB", (6000, 5000)), "WEBP")).code == "too_costly"
    huge_tile = tiff(bits=8, sample_format=1).replace(
        struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 324, 4, 1)
    )
    huge_tile = huge_tile.replace(
        struct.pack("<HHIHH", 278, 3, 1, 32, 0), struct.pack("<HHIHH", 322, 3, 1, 40000, 0)
    ).replace(struct.pack("<HHIHH", 284, 3, 1, 1, 0), struct.pack("<HHIHH", 323, 3, 1, 40000, 0))
    assert refusal(huge_tile).code == "too_costly"


def without_tag(data: bytes, tag: int, replacement: tuple[int, int, int]) -> bytes:
    """The TIFF with a tag of one value replaced by another tag, type and value."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, place)[0] == tag:
            number, kind, value = replacement
            return data[:place] + struct.pack("<HHII", number, kind, 1, value) + data[place + 12 :]
    raise AssertionError(tag)


@pytest.mark.parametrize(
    ("kind", "accepted"), [((254, 4, 0), True), ((254, 4, 2), True), ((254, 4, 1), False), ((254, 4, 4), False),
                           ((330, 4, 8), False), ((330, 13, 8), False)],
)  # fmt: skip
def test_a_preview_or_mask_of_another_image_is_not_judged(kind: tuple[int, int, int], accepted: bool) -> None:
    data = without_tag(tiff(bits=8, sample_format=1), 339, kind)
    if accepted:
        assert decode(data, GREY).max() == 64
    else:
        assert refusal(data).code == "multiple_frames"


def test_an_uncompressed_tiff_without_strip_lengths_is_judged_if_it_is_whole() -> None:
    data = without_tag(tiff(bits=8, sample_format=1), 279, (305, 4, 0))
    assert decode(data, GREY).max() == 64
    short = without_tag(without_tag(data, 257, (257, 4, 900)), 278, (278, 4, 900))
    assert refusal(short, Preprocessing(10, 100, 1)).code == "corrupt_image"


@pytest.mark.parametrize("compression", ["jpeg", "packbits", "tiff_adobe_deflate"])
def test_strips_that_share_bytes_are_refused(compression: str) -> None:
    data = bytearray(encoded(Image.effect_noise((64, 4000), 60), "TIFF", compression=compression))
    with Image.open(io.BytesIO(data)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined] # a TIFF has it
        offsets, lengths = tags[273], tags[279]
    assert len(offsets) > 2
    packed = struct.pack(f"<{len(lengths)}I", *lengths)
    assert packed in data
    shared = data.replace(packed, struct.pack("<I", len(data) - max(offsets) - 8) * len(lengths))
    assert refusal(bytes(shared), Preprocessing(20, 1000, 1)).code == "corrupt_image"


def test_a_jpeg_inside_a_tiff_may_not_declare_more_pixels_than_its_strip() -> None:
    data = encoded(Image.effect_noise((64, 64), 60), "TIFF", compression="jpeg")
    frame = data.rindex(b"\xff\xc0")
    assert data[frame + 5 : frame + 9] == struct.pack(">HH", 64, 64)
    bomb = data[: frame + 5] + struct.pack(">HH", 65000, 65000) + data[frame + 9 :]
    assert refusal(bomb).code == "corrupt_image"


def swapped(bits: int, sample_format: int, compression: int, photometric: int = 1) -> bytes:
    """A big-endian TIFF of 32 x 32 pixels; compressed, its only strip is a Deflate stream."""
    body = bytes([63, 0, 0, 0])[: bits // 8] * (32 * 32)
    body = zlib.compress(body) if compression == 8 else body
    tags = [
        (256, 32), (257, 32), (258, bits), (259, compression), (262, photometric), (273, 8), (277, 1), (278, 32),
        (279, len(body)), (339, sample_format),
    ]  # fmt: skip
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"MM\0*" + struct.pack(">I", 8 + len(body))
    return head + body + struct.pack(">H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("layout", "accepted"),
    [((8, 1, 8, 1), True), ((32, 3, 1, 1), True), ((32, 3, 8, 1), False), ((32, 1, 1, 1), False),
     ((16, 1, 1, 1), True), ((16, 1, 1, 0), False)],
)  # fmt: skip
def test_a_big_endian_tiff_is_read_right_or_refused(
    layout: tuple[int, int, int, int], accepted: bool
) -> None:
    spec = Preprocessing(32, 32, 1, full_scale=1 if layout[1] == 3 else 65535)
    if accepted:
        # 0x3F000000 is the floating-point number 0.5.
        assert set(np.unique(decode(swapped(*layout), spec))) == {128 if layout[1] == 3 else 63}
    else:
        assert refusal(swapped(*layout), spec).code == "unsupported_media"


def test_a_big_endian_bigtiff_is_unsupported() -> None:
    assert refusal(b"MM\0+\0\x08" + bytes(100)).code == "unsupported_media"


def test_a_directory_of_rubbish_is_damage_and_not_a_cost() -> None:
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "TIFF"))
    start = int.from_bytes(data[4:8], "little")
    data[start : start + 2] = b"\xff\xff"
    assert refusal(bytes(data)).code == "corrupt_image"


def test_a_tiff_without_a_size_is_damage() -> None:
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "TIFF"))
    start = int.from_bytes(data[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], "little"), 12):
        if int.from_bytes(data[entry : entry + 2], "little") == 256:
            data[entry + 8 : entry + 12] = bytes(4)
    assert refusal(bytes(data)).code == "corrupt_image"
