"""Damage is refused wherever the format carries evidence of it, and no sound image is."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.preprocess import decode
from tests.damage.harm import FORMATS, HARMS, encoded

SPEC = Preprocessing(width=64, height=64, channels=1)
# Nothing in these files depends on the value of a pixel: neither a checksum nor a code that could break.
NO_EVIDENCE = {"TIFF, uncompressed", "BMP"}
# Formats whose checksums notice every change. JPEG, LZW, PackBits and lossless WebP notice some of them.
CHECKED = {"PNG", "TIFF, Deflate"}


def _smooth(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8)).resize(
        (150, 120), Image.Resampling.BICUBIC
    )


def _noisy(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 255, (120, 150), dtype=np.uint8))


def _flat(_: np.random.Generator) -> Image.Image:
    return Image.new("L", (150, 120), 80)


def judged(data: bytes) -> bool:
    try:
        decode(data, SPEC)
    except ItemError as error:
        assert error.code == "corrupt_image", error.detail
        return False
    return True


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("draw", [_smooth, _noisy, _flat])
def test_no_sound_image_is_refused(name: str, draw: Callable[[np.random.Generator], Image.Image]) -> None:
    image = draw(np.random.default_rng(3))
    assert judged(encoded(image, name))
    assert judged(encoded(image.convert("RGB"), name))
    assert judged(encoded(image.crop((0, 0, 17, 16)), name))


@pytest.mark.parametrize("kind", [kind for kind in HARMS if kind != "one byte changed"])
@pytest.mark.parametrize("name", FORMATS)
def test_gross_damage_is_refused_where_the_format_shows_it(name: str, kind: str) -> None:
    rng, chance = np.random.default_rng(4), random.Random(4)
    for draw in (_smooth, _noisy):
        data = encoded(draw(rng), name)
        harmed = HARMS[kind](data, chance)
        if harmed is None or (name in NO_EVIDENCE and "zeroed" in kind):
            continue
        assert not judged(harmed)


@pytest.mark.parametrize("name", CHECKED)
def test_a_checksum_notices_every_changed_byte(name: str) -> None:
    data, chance = encoded(_smooth(np.random.default_rng(5)), name), random.Random(5)
    assert not any(judged(HARMS["one byte changed"](data, chance) or b"") for _ in range(200))


def test_a_changed_byte_in_lossy_webp_is_noticed_by_the_data_that_remain() -> None:
    data, chance = encoded(_noisy(np.random.default_rng(6)), "WebP, lossy"), random.Random(6)
    passed = sum(judged(HARMS["one byte changed"](data, chance) or b"") for _ in range(200))
    assert passed <= 4
