"""Each kind of image that docs/images.md declares, with its pixels or its code.

`tests/data/images` holds a rendered part as different programs and cameras store it; `plain-defect.jpg` is the
reference.
"""

import io
import re
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


@pytest.mark.parametrize("alpha", [1, 15])
def test_alpha_on_a_wrong_scale_is_ignored(alpha: int) -> None:
    image = Image.open(io.BytesIO(PLAIN)).convert("RGB")
    image.putalpha(alpha)
    assert apart(decode(encoded(image, "PNG"), GREY), decode(PLAIN, GREY)) < 1.5


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("alpha", [16, 64, 200])
def test_alpha_that_pales_the_whole_image_is_refused(alpha: int, kind: str) -> None:
    image = Image.open(io.BytesIO(PLAIN)).convert("RGB")
    image.putalpha(alpha)
    assert refusal(encoded(image, kind)).code == "unsupported_media"


def test_a_single_opaque_pixel_does_not_make_a_hidden_image_a_cut_out() -> None:
    image = Image.open(io.BytesIO(PLAIN)).convert("RGB")
    image.putalpha(0)
    image.putpixel((5, 5), (9, 9, 9, 255))
    assert refusal(encoded(image, "PNG")).code == "unsupported_media"


def test_a_part_cut_out_of_its_background_lies_on_white() -> None:
    image = Image.open(io.BytesIO(PLAIN)).convert("RGB")
    hidden = Image.new("L", image.size, 0)
    hidden.paste(255, (0, 0, image.width // 2, image.height))
    image.putalpha(hidden)
    pixels = decode(encoded(image, "PNG"), GREY)
    assert pixels[:, -10:].min() == 255
    assert apart(pixels[:, :40], decode(PLAIN, GREY)[:, :40]) < 2


@pytest.mark.parametrize("head", [b"\0\0\0\x0cJXL \r\n\x87\n", b"P5\n640 480\n255\n", b"\0\0\0\x1cftypheic"])
def test_other_formats_are_named(head: bytes) -> None:
    assert re.match(r"an? [A-Z]", refusal(head + bytes(500)).detail)
