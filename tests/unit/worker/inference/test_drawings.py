"""A thumbnail shows the tones that the network sees, upright and undistorted."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits
from shared.vision.preprocess import decode
from worker.inference.drawings import THUMBNAIL_SIDE as SIDE
from worker.inference.drawings import overlay, redrawn, thumbnail

IMAGES = Path(__file__).parents[3] / "data" / "images"
SQUARE = Preprocessing(width=100, height=100, channels=1, full_scale=65535)


def drawn(data: bytes, spec: Preprocessing = SQUARE) -> Image.Image:
    with Image.open(io.BytesIO(thumbnail(data, spec, Limits()))) as image:
        assert image.format == "JPEG"
        return image.copy()


@pytest.mark.parametrize(
    "name",
    [
        "plain-defect.jpg",
        "png-16.png",
        "tiff-16.tif",
        "tiff-16-white-is-zero.tif",
        "tiff-8-white-is-zero.tif",
        "tiff-orientation-6.tif",
        "png-rgba-alpha-0.png",
        "bmp-32-bitfields-v3-alpha-0.bmp",
        "jpeg-cmyk-adobe.jpg",
    ],
)
def test_it_shows_the_pixels_of_the_network(name: str) -> None:
    data = (IMAGES / name).read_bytes()
    seen = decode(data, SQUARE)[:, :, 0].astype(int)
    shown = np.asarray(drawn(data).resize((100, 100), Image.Resampling.BILINEAR), int)
    assert np.abs(seen - shown).mean() < 6
    assert np.corrcoef(seen.ravel(), shown.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(("orientation", "size"), [(1, (SIDE, SIDE // 3)), (6, (SIDE // 3, SIDE))])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_it_keeps_the_proportions(kind: str, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (600, 200), (9, 9, 9)).save(buffer, kind, **({} if kind == "BMP" else {"exif": exif}))
    assert drawn(buffer.getvalue()).size == ((SIDE, SIDE // 3) if kind == "BMP" else size)


def test_a_colour_model_gives_a_colour_thumbnail_and_a_small_image_stays_small() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 20, 20)).save(buffer, "PNG")
    assert (drawn(buffer.getvalue()).mode, drawn(buffer.getvalue()).size) == ("L", (40, 30))
    assert drawn(buffer.getvalue(), Preprocessing(50, 50, 3)).mode == "RGB"


@pytest.mark.parametrize("name", ["cut-half.jpg", "size-1x1.png", "really-gif.jpg", "apng-first-defect.png"])
def test_a_refused_image_gives_a_grey_square(name: str) -> None:
    image = drawn((IMAGES / name).read_bytes())
    assert image.size == (SIDE, SIDE)
    assert image.getextrema() == (128, 128)


def test_a_whole_image_keeps_its_size_and_no_byte_of_the_file() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret of the client"
    buffer = io.BytesIO()
    Image.effect_noise((500, 300), 60).save(buffer, "JPEG", exif=exif, comment=b"another secret")
    data = redrawn(buffer.getvalue(), SQUARE, Limits())
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("JPEG", (500, 300))
    assert b"secret" not in data


@pytest.mark.parametrize(("hottest", "shown"), [(0.5, 1 / 6), (3.0, 1.0), (12.0, 1.0)])
def test_an_overlay_is_as_opaque_as_the_logit_falls(hottest: float, shown: float) -> None:
    falls = np.full((80, 80), -1.0, np.float32)
    falls[20:60, 20:60] = hottest
    opacity = np.asarray(overlay(falls))[:, :, 3]
    assert opacity[40, 40] == pytest.approx(190 * shown, abs=1)
    assert opacity[0, 0] == 0
