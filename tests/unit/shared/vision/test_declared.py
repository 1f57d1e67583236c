"""Each kind of image that docs/images.md declares, with its pixels or its code.

`tests/data/images` holds a rendered part as different programs and cameras store it; `plain-defect.jpg` is the
reference.
"""

import io
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits
from shared.vision.preprocess import decode
from tests.damage.harm import png_chunk, png_chunks

IMAGES = Path(__file__).parents[3] / "data" / "images"
GREY = Preprocessing(width=100, height=100, channels=1)
RGB = Preprocessing(width=100, height=100, channels=3)
FULL = Preprocessing(width=100, height=100, channels=1, full_scale=65535)
PLAIN = (IMAGES / "plain-defect.jpg").read_bytes()


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(data: bytes, spec: Preprocessing = GREY) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data, spec, Limits())
    return caught.value


def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The mean difference of two images, in grey levels."""
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("bmp-32-bitfields-v3-alpha-0.bmp", GREY),
        ("bmp-32-rgb-alpha-0.bmp", GREY),
        ("png-la-alpha-0.png", GREY),
        ("png-rgba-alpha-0.png", GREY),
        ("exif-garbage.png", GREY),
        ("exif-orientation-0.jpg", GREY),
        ("exif-orientation-is-text.jpg", GREY),
        ("jpeg-cmyk-adobe.jpg", GREY),
        ("jpeg-leading-crlf.jpg", GREY),
        ("png-16.png", FULL),
        ("tiff-16.tif", FULL),
        ("tiff-16-white-is-zero.tif", FULL),
        ("tiff-8-white-is-zero.tif", GREY),
        ("tiff-rgb-planar.tif", GREY),
        ("tiff-rgb-plus-nir-unspecified.tif", GREY),
    ],
)
def test_the_same_part_in_another_file_gives_the_same_pixels(name: str, spec: Preprocessing) -> None:
    assert apart(decode((IMAGES / name).read_bytes(), spec), decode(PLAIN, GREY)) < 1.5


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cut-half.jpg", "corrupt_image"),
        ("cut-half-then-eoi.jpg", "corrupt_image"),
        ("hole-of-2kB-in-the-middle.jpg", "corrupt_image"),
        ("zeros-2kB-in-the-middle.jpg", "corrupt_image"),
        ("apng-first-defect.png", "multiple_frames"),
        ("mpo-first-defect.jpg", "multiple_frames"),
        ("tiff-first-page-is-a-preview.tif", "multiple_frames"),
        ("jpeg-12-bit-header.jpg", "unsupported_media"),
        ("tiff-10-packed.tif", "unsupported_media"),
        ("really-avif.jpg", "unsupported_media"),
        ("really-gif.jpg", "unsupported_media"),
        ("really-jp2.jpg", "unsupported_media"),
        ("size-10000x1.png", "too_small"),
        ("size-1x1.png", "too_small"),
        ("size-30000x2.png", "too_small"),
    ],
)
@pytest.mark.parametrize("spec", [GREY, FULL])
def test_an_image_that_is_not_accepted_gets_its_code_in_plain_words(
    name: str, code: str, spec: Preprocessing
) -> None:
    error = refusal((IMAGES / name).read_bytes(), spec)
    assert error.code == code
    assert not re.search(r"0x|object at|Error|PIL|libjpeg|Corrupt JPEG", error.detail)
    assert len(error.detail) > 15


def test_a_tiff_is_turned_by_its_orientation() -> None:
    turned = decode((IMAGES / "tiff-orientation-6.tif").read_bytes(), GREY)
    with Image.open(IMAGES / "tiff-orientation-6.tif") as image:
        upright = np.asarray(image.convert("L").resize((100, 100), Image.Resampling.BILINEAR))
    assert apart(turned[:, :, 0], upright) == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_colour_profile_is_ignored(kind: str) -> None:
    image = Image.open(io.BytesIO(PLAIN)).convert("RGB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with_profile, without = encoded(image, kind, icc_profile=profile), encoded(image, kind)
    assert np.array_equal(decode(with_profile, RGB), decode(without, RGB))


def test_lab_is_read_as_colour() -> None:
    colours = Image.new("RGB", (32, 32), (200, 40, 30))
    colours.paste((20, 60, 190), (0, 16, 32, 32))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = ImageCms.profileToProfile(colours, srgb, lab, outputMode="LAB")
    assert stored is not None
    pixels = decode(encoded(stored, "TIFF"), Preprocessing(32, 32, 3))
    assert np.abs(pixels.astype(int) - np.asarray(colours)).max() <= 10


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_one_bit_is_black_and_white(kind: str) -> None:
    checks = Image.fromarray(np.kron(np.eye(2, dtype=np.uint8), np.ones((16, 16), np.uint8)) * 255).convert(
        "1"
    )
    pixels = decode(encoded(checks, kind), Preprocessing(32, 32, 1))[:, :, 0]
    assert np.array_equal(pixels, np.kron(np.eye(2), np.ones((16, 16))).astype(np.uint8) * 255)


@pytest.mark.parametrize("alpha", [0, 255])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_that_hides_the_whole_image_is_ignored(alpha: int, kind: str) -> None:
    image = Image.open(io.BytesIO(PLAIN)).convert("RGB")
    image.putalpha(alpha)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert apart(decode(encoded(image, kind, **options), GREY), decode(PLAIN, GREY)) < 1.5


def test_a_transparent_colour_that_covers_the_whole_image_is_ignored() -> None:
    data = encoded(Image.new("L", (32, 32), 70), "PNG", transparency=70)
    assert decode(data, GREY).max() == 70


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


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_data_of_fewer_bits_than_the_model_declares_are_refused(kind: str) -> None:
    """12-bit values under a full scale of 65535 would be judged as a black image."""
    twelve = np.linspace(0, 4095, 1024).reshape(32, 32).astype(np.uint16)
    data = encoded(Image.fromarray(twelve), kind)
    assert refusal(data, FULL).code == "unsupported_media"
    assert decode(data, Preprocessing(32, 32, 1, full_scale=4095)).max() == 255


def test_exif_data_behind_the_pixels_of_a_png_are_read() -> None:
    image = Image.new("L", (32, 32), 20)
    image.paste(230, (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(image, "PNG", exif=exif)
    chunks = {name: body for _, name, body in png_chunks(data)}
    names = [b"IHDR", b"IDAT", b"eXIf", b"IEND"]
    moved = data[:8] + b"".join(png_chunk(name, chunks[name]) for name in names)
    pixels = decode(moved, Preprocessing(32, 32, 1))
    assert pixels[:14].max() < 40 < 200 < pixels[18:].min()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(kind: str, count: int) -> None:
    frames = [Image.new("RGB", (32, 32), (90 * place, 10, 10)) for place in range(count)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    if count == 1:
        assert decode(data, RGB).shape == (100, 100, 3)
    else:
        assert refusal(data).code == "multiple_frames"


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


@pytest.mark.parametrize("alpha", [1, 15])
def test_alpha_on_a_wrong_scale_is_ignored(alpha: int) -> None:
    image = Image.open(io.BytesIO(PLAIN)).convert("RGB")
    image.putalpha(alpha)
    assert apart(decode(encoded(image, "PNG"), GREY), decode(PLAIN, GREY)) < 1.5


@pytest.mark.parametrize("head", [b"\0\0\0\x0cJXL \r\n\x87\n", b"P5\n640 480\n255\n", b"\0\0\0\x1cftypheic"])
def test_other_formats_are_named(head: bytes) -> None:
    assert re.match(r"an? [A-Z]", refusal(head + bytes(500)).detail)
