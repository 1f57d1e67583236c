"""JPEG: the strict decoder's pixels equal Pillow's, damage is refused, and the work is bounded."""

import io
import itertools
import random
import struct
import time
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits
from shared.vision.preprocess import decode
from tests.damage import harm

GREY = Preprocessing(width=40, height=40, channels=1)


def textured(width: int, height: int, mode: str) -> Image.Image:
    coarse = np.random.default_rng(7).integers(0, 255, (height // 6 + 2, width // 6 + 2, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def refused(data: bytes, limits: Limits = Limits()) -> ItemError:  # noqa: B008 # frozen
    with pytest.raises(ItemError) as caught:
        decode(data, GREY, limits)
    return caught.value


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("L", {}), ("L", {"progressive": True}), ("RGB", {"subsampling": 0}), ("RGB", {"subsampling": 1}),
    ("RGB", {"subsampling": 2}), ("RGB", {"progressive": True}), ("RGB", {"keep_rgb": True}),
    ("RGB", {"restart_marker_rows": 1}), ("RGB", {"quality": 30}), ("CMYK", {}),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "options"), VARIANTS)
@pytest.mark.parametrize("size", [(301, 177), (24, 40)])
def test_the_pixels_equal_those_of_pillow(mode: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    data = encoded(textured(*size, mode), **options)
    for channels, scale in itertools.product((1, 3), (1, 2, 4, 8)):
        target = (max(1, size[0] // scale), max(1, size[1] // scale))
        with Image.open(io.BytesIO(data)) as image:
            image.draft("L" if channels == 1 else "RGB", target)
            colour = image.convert("RGB") if mode == "CMYK" else image
            expected = colour.convert("L" if channels == 1 else "RGB").resize(
                target, Image.Resampling.BILINEAR
            )
        pixels = decode(data, Preprocessing(*target, channels))
        assert np.array_equal(pixels.squeeze(), np.asarray(expected)), (channels, scale)


@pytest.mark.parametrize("data", [encoded(textured(64, 64, mode), **options) for mode, options in VARIANTS])
def test_a_jpeg_that_misses_its_end_is_refused_unless_tolerated(data: bytes) -> None:
    assert refused(data[:-2]).code == "corrupt_image"
    tolerated = Limits(tolerated=frozenset({"jpeg_missing_end"}))
    assert np.array_equal(decode(data[:-2], GREY, tolerated), decode(data, GREY))
    assert refused(data[: -len(data) // 4], tolerated).code == "corrupt_image"


def test_bytes_before_the_end_marker_are_refused_unless_tolerated() -> None:
    data = encoded(textured(64, 64, "L"))
    padded = data[:-2] + bytes(30) + data[-2:]
    tolerated = Limits(tolerated=frozenset({"jpeg_bytes_before_end"}))
    assert refused(padded).code == "corrupt_image"
    assert np.array_equal(decode(padded, GREY, tolerated), decode(data, GREY))
    damaged = harm.cut_and_closed(data, random.Random(1))
    assert damaged is not None
    assert refused(damaged, tolerated).code == "corrupt_image"


@pytest.mark.parametrize("extra", [b"\0" * 100, b"trailer", b"\xff\xd9", b"\xff\xd8\xff not an image"])
def test_bytes_behind_the_end_marker_are_ignored(extra: bytes) -> None:
    data = encoded(textured(64, 64, "L"))
    assert np.array_equal(decode(data + extra, GREY), decode(data, GREY))


def test_a_second_image_is_refused_unless_it_is_a_small_preview() -> None:
    data = encoded(textured(200, 200, "L"))
    assert refused(data + encoded(textured(200, 200, "L"))).code == "multiple_frames"
    assert refused(data + bytes(9) + encoded(textured(101, 101, "RGB"))).code == "multiple_frames"
    small = encoded(textured(100, 100, "RGB"))
    assert np.array_equal(decode(data + small, GREY), decode(data, GREY))
    assert refused(data + small + data).code == "multiple_frames"


def test_a_progressive_image_of_very_many_scans_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(textured(64, 64, "L"), progressive=True)
    first = data.rindex(b"\xff\xda")
    scan = data[first:-2]
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    error = refused(data[:-2] + 70 * scan + data[-2:])
    assert error.code == "too_costly"


@pytest.mark.parametrize(("marker", "code"), [(0xC3, "unsupported_media"), (0xC9, "unsupported_media")])
def test_rare_kinds_of_jpeg_are_unsupported(marker: int, code: str) -> None:
    data = encoded(textured(64, 64, "L"))
    place = data.index(b"\xff\xc0")
    assert refused(data[: place + 1] + bytes([marker]) + data[place + 2 :]).code == code


def test_very_many_segments_or_images_are_refused_in_a_short_time() -> None:
    data = encoded(textured(64, 64, "L"))
    started = time.perf_counter()
    assert refused(data[:2] + 1_000_000 * b"\xff\xe0\0\2" + data[2:]).code == "too_costly"
    assert refused(data + 1_000_000 * b"\xff\xd8\xff").code == "too_costly"
    exif = b"\xff\xe1" + struct.pack(">H", 65_002) + b"Exif\0\0" + bytes(64_994)
    decode(data[:2] + 500 * exif + data[2:], GREY)
    assert time.perf_counter() - started < 5


def test_a_progressive_image_is_refused_without_any_of_its_scans() -> None:
    data = encoded(textured(64, 64, "RGB"), progressive=True)
    marks = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    assert len(marks) > 8
    for place, after in itertools.pairwise([*marks, len(data) - 2]):
        if place != marks[0]:
            assert refused(data[:place] + b"\xff\xd9").code == "corrupt_image"
        assert refused(data[:place] + data[after:]).code == "corrupt_image"


def test_a_sequential_image_is_refused_without_the_scan_of_a_component() -> None:
    """libjpeg would decode it without its colour, and without a warning."""
    data = encoded(textured(64, 64, "RGB"), subsampling=0)
    scan = data.index(b"\xff\xda")
    assert data[scan + 4] == 3
    alone = b"\xff\xda\x00\x08\x01" + data[scan + 5 : scan + 7] + data[scan + 11 : scan + 14]
    error = refused(data[:scan] + alone + data[scan + 14 :])
    assert (error.code, "last scan" in error.detail) == ("corrupt_image", True)
