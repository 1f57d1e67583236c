"""Several images in one file: each is found without decoding, is judged as if it came alone, and none is left out."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.contract.frames import MOST_FRAMES, frame_numbers
from shared.errors import ItemError
from shared.registry.artifact import Preprocessing
from shared.vision.accepted import Limits
from shared.vision.preprocess import decode, view

GREY, RGB = Preprocessing(32, 32, 1), Preprocessing(32, 32, 3)
IMAGES = Path("tests/data/images")
SIDE = 64


def drawn(place: int) -> Image.Image:
    """A noisy image with a bright square at its own place; two of them differ in two squares only."""
    pixels = np.random.default_rng(3).integers(40, 90, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[8 * place : 8 * place + 8, 16:24] = 250
    return Image.fromarray(pixels)


def encoded(images: list[Image.Image], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


def code_of(data: bytes, frame: int | None, limits: Limits | None = None) -> str:
    with pytest.raises(ItemError) as caught:
        decode(data, RGB, limits or Limits(), frame)
    return caught.value.code


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "TIFF": ("TIFF", {}),
    "TIFF, Deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF, BigTIFF": ("TIFF", {"big_tiff": True}),
    "MPO": ("MPO", {"quality": 95}),
    "PNG": ("PNG", {}),
    "PNG, with an image before the animation": ("PNG", {"default_image": True}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "WebP, lossy": ("WEBP", {"quality": 90}),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_frame_has_the_pixels_that_it_has_alone(name: str) -> None:
    kind, options = KINDS[name]
    images = [drawn(place) for place in (0, 3, 6)]
    data = encoded(images, kind, **options)
    assert frame_numbers(data) == (1, 2, 3)
    for number, image in enumerate(images, 1):
        alone = decode(encoded([image], "PNG"), RGB).astype(int)
        assert np.abs(decode(data, RGB, Limits(), number) - alone).mean() < 6, number
        seen = np.asarray(view(data, GREY, SIDE, Limits(), number)).astype(int)
        assert seen[8 * (0, 3, 6)[number - 1] + 4, 20] > 200
    assert code_of(data, None) == "multiple_frames"
    assert code_of(data, 4) == "corrupt_image"


def test_the_given_files_of_several_images_are_read() -> None:
    for name in ("apng-first-defect.png", "mpo-first-defect.jpg"):
        data = (IMAGES / name).read_bytes()
        first, second = (decode(data, GREY, Limits(), number).astype(int) for number in frame_numbers(data))
        assert np.abs(first - second).max() > 20, name


@pytest.mark.parametrize(("kind", "big"), [(1, False), (4, False), (1, True)])
def test_a_reduced_version_and_a_mask_are_no_frames(kind: int, big: bool) -> None:
    images = [drawn(0), drawn(1).resize((16, 16)), drawn(2)]
    images[1].encoderinfo = {"tiffinfo": {254: kind}}
    data = encoded(images, "TIFF", big_tiff=big)
    assert frame_numbers(data) == (1, 3)
    assert decode(data, GREY, Limits(), 3).shape == (32, 32, 1)
    assert code_of(data, 2) == "corrupt_image"


def test_a_small_page_without_a_word_that_it_is_a_preview_is_a_frame() -> None:
    data = (IMAGES / "tiff-first-page-is-a-preview.tif").read_bytes()
    assert frame_numbers(data) == (1, 2)
    assert decode(data, GREY, Limits(), 2).shape == (32, 32, 1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG", "BMP"])
def test_a_file_of_one_image_has_no_frame_numbers(kind: str) -> None:
    buffer = io.BytesIO()
    drawn(1).save(buffer, kind)
    assert frame_numbers(buffer.getvalue()) == ()


def test_pages_that_lead_back_to_each_other_are_refused() -> None:
    data = bytearray(encoded([drawn(0), drawn(1)], "TIFF"))
    first, last = _directories(bytes(data))
    struct.pack_into("<I", data, last + 2 + 12 * struct.unpack_from("<H", data, last)[0], first)
    assert frame_numbers(bytes(data)) == ()
    assert code_of(bytes(data), None) == "multiple_frames"


def test_more_frames_than_a_file_may_have_are_refused() -> None:
    small = Image.new("L", (16, 16), 90)
    assert len(frame_numbers(encoded([small] * MOST_FRAMES, "TIFF"))) == MOST_FRAMES
    data = encoded([small] * (MOST_FRAMES + 1), "TIFF")
    assert frame_numbers(data) == ()
    assert code_of(data, None) == "multiple_frames"


def test_an_image_that_an_mpo_does_not_name_is_not_left_out() -> None:
    """Its bytes belong to the image before it, which is then refused."""
    data, more = encoded([drawn(0), drawn(1)], "MPO"), io.BytesIO()
    drawn(2).save(more, "JPEG")
    assert code_of(data + more.getvalue(), 2) == "multiple_frames"
    concatenated = more.getvalue() * 2
    assert frame_numbers(concatenated) == ()
    assert code_of(concatenated, None) == "multiple_frames"


def test_a_frame_that_costs_too_much_fails_alone() -> None:
    data = encoded([drawn(place) for place in range(3)], "PNG")
    limits = Limits(max_pixels=2 * SIDE * SIDE)
    assert decode(data, RGB, limits, 2).shape == (32, 32, 3)
    assert code_of(data, 3, limits) == "too_costly"


@pytest.mark.parametrize("name", ["TIFF, Deflate", "MPO", "PNG", "WebP, lossy", "WebP, lossless"])
def test_damage_fails_its_frame_and_spares_the_frames_before(name: str) -> None:
    kind, options = KINDS[name]
    images = [Image.effect_noise((SIDE, SIDE), 60 + place).convert("RGB") for place in range(3)]
    data = bytearray(encoded(images, kind, **options))
    whole = decode(bytes(data), RGB, Limits(), 1)
    # Some bytes in the image data of the last frame, whose end is not far from the end of the file.
    last = bytes(data).rfind(b"\xff\xda") + 20 if kind == "MPO" else len(data) - 700
    if kind == "TIFF":
        *_, directory = _directories(bytes(data))
        last = _value(bytes(data), directory, 273) + 40
    data[last : last + 300] = bytes(300)
    assert code_of(bytes(data), 3) == "corrupt_image"
    if kind != "PNG":  # its checksums are asked of the whole file
        assert np.array_equal(decode(bytes(data), RGB, Limits(), 1), whole)


def _directories(data: bytes) -> list[int]:
    place, found = 4, []
    while (start := struct.unpack_from("<I", data, place)[0]) != 0:
        found.append(start)
        place = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
    return found


def _value(data: bytes, directory: int, wanted: int) -> int:
    for number in range(struct.unpack_from("<H", data, directory)[0]):
        tag, _, count, value = struct.unpack_from("<HHII", data, directory + 2 + 12 * number)
        if tag == wanted:
            return int(value if count == 1 else struct.unpack_from("<I", data, value)[0])
    raise AssertionError(wanted)
