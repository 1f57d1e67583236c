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

pytestmark = pytest.mark.row(22)

GREY = Preprocessing(width=8, height=8, channels=1)
RGB = Preprocessing(width=8, height=8, channels=3)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def code_of(data: bytes, spec: Preprocessing = GREY, **options: Any) -> str:
    with pytest.raises(ItemError) as caught:
        decode(data, spec, **options)
    return caught.value.code


def png16(colour_type: int, samples: list[int]) -> bytes:
    """A PNG of 16 bits a sample, 16 x 16 equal pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 16, 16, 16, colour_type, 0, 0, 0)
    row = zlib.compress(16 * (b"\0" + 16 * struct.pack(f">{len(samples)}H", *samples)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("spec", [GREY, RGB])
def test_each_format_gives_the_declared_shape(kind: str, spec: Preprocessing) -> None:
    pixels = decode(encoded(Image.new("RGB", (40, 20), (200, 200, 200)), kind), spec)
    assert pixels.shape == (8, 8, spec.channels)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - 200).max() <= 2


def test_bytes_and_memoryview_give_the_same_pixels() -> None:
    data = encoded(Image.effect_noise((64, 64), 60), "JPEG")
    assert np.array_equal(decode(data, GREY), decode(memoryview(data), GREY))


def test_a_reduced_scale_decode_stays_near_the_full_one() -> None:
    ramp = Image.linear_gradient("L").resize((512, 512))
    reduced = decode(encoded(ramp, "JPEG", quality=95), GREY)
    full = decode(encoded(ramp, "PNG"), GREY)
    assert np.abs(reduced.astype(int) - full).max() <= 3


def test_a_small_jpeg_is_never_decoded_below_the_target() -> None:
    fine = Image.fromarray(np.indices((60, 60)).sum(0).astype(np.uint8) % 2 * 255)
    pixels = decode(encoded(fine, "JPEG", quality=100), Preprocessing(60, 60, 1))
    assert pixels.std() > 100


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = np.full((16, 32), 20, np.uint8)
    upright[:8, :16] = 230  # bright upper left quarter
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)).convert("RGB"), kind, exif=exif)
    pixels = decode(data, Preprocessing(width=32, height=16, channels=1))[:, :, 0]
    assert pixels[2:6, 2:14].min() > 200
    assert max(pixels[10:, :].max(), pixels[:, 18:].max()) < 60


def test_transparent_pixels_are_laid_over_white() -> None:
    half = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    half.paste((0, 0, 0, 255), (0, 0, 16, 8))
    pixels = decode(encoded(half), GREY)
    assert pixels[:3].max() == 0
    assert pixels[5:].min() == 255
    assert decode(encoded(Image.new("LA", (16, 16), (0, 255))), GREY).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_white_is_white_in_every_mode(mode: str) -> None:
    assert decode(encoded(Image.new("RGB", (16, 16), "white").convert(mode)), RGB).min() == 255


def test_cmyk_jpeg_is_read_as_colour() -> None:
    pixels = decode(encoded(Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK"), "JPEG"), RGB)
    assert pixels[0, 0, 0] > 240 > 20 > pixels[0, 0, 1]


@pytest.mark.parametrize("value", [300, 40000])
def test_sixteen_bits_without_a_declared_scale_are_refused(value: int) -> None:
    assert code_of(encoded(Image.fromarray(np.full((16, 16), value, np.uint16)))) == "unsupported_media"
    assert code_of(png16(2, [value] * 3)) == "unsupported_media"


def test_sixteen_bits_are_scaled_by_the_declared_maximum() -> None:
    data = encoded(Image.fromarray(np.full((16, 16), 2048, np.uint16)))
    assert decode(data, Preprocessing(8, 8, 1, full_scale=4095)).max() == 128
    assert decode(png16(2, [0x8000] * 3), Preprocessing(8, 8, 1, full_scale=65535)).max() == 128
    assert code_of(png16(2, [0x8000] * 3), Preprocessing(8, 8, 1, full_scale=4095)) == "unsupported_media"


def test_a_value_above_the_declared_maximum_is_refused_not_clipped() -> None:
    data = encoded(Image.fromarray(np.full((16, 16), 5000, np.uint16)))
    assert code_of(data, Preprocessing(8, 8, 1, full_scale=4095)) == "unsupported_media"


def test_float_images_follow_the_same_rule() -> None:
    data = encoded(Image.fromarray(np.full((16, 16), 0.5, np.float32)), "TIFF")
    assert code_of(data) == "unsupported_media"
    assert decode(data, Preprocessing(8, 8, 1, full_scale=1)).max() == 128


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7", b"GIF89a" + bytes(40), b"<svg/>"])
def test_what_is_no_accepted_image_is_unsupported(data: bytes) -> None:
    assert code_of(data) == "unsupported_media"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_truncated_image_is_corrupt(kind: str) -> None:
    data = encoded(Image.effect_noise((64, 64), 60), kind)
    for kept in (20, len(data) // 2, len(data) - 200):
        assert code_of(data[:kept]) == "corrupt_image"


def test_the_size_is_refused_before_any_pixel_is_decoded() -> None:
    bomb = encoded(Image.new("1", (9000, 9000)))
    assert len(bomb) < 20_000
    assert code_of(bomb) == "too_many_pixels"
    assert code_of(encoded(Image.new("1", (20_000, 20_000)))) == "too_many_pixels"
    assert code_of(encoded(Image.new("L", (20, 16))), limits=Limits(max_pixels=319)) == "too_many_pixels"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_side_under_16_pixels_is_too_small(kind: str) -> None:
    assert code_of(encoded(Image.new("L", (15, 300)), kind)) == "too_small"
    assert code_of(encoded(Image.new("L", (300, 15)), kind)) == "too_small"
    assert decode(encoded(Image.new("L", (16, 16)), kind), GREY).shape == (8, 8, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_proportions_far_from_those_of_the_model_are_refused(kind: str) -> None:
    strip = encoded(Image.new("L", (400, 16)), kind)
    assert code_of(strip) == "unsupported_media"
    assert decode(strip, Preprocessing(width=200, height=8, channels=1)).shape == (8, 200, 1)
