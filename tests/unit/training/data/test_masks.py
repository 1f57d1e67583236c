"""Masks are known by their pixels wherever labelling tools put them, and photographs called like masks stay images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.training.data.files import put
from training.data import mask_pixels
from training.data.check import check
from training.data.load import listing
from training.data.records import Listing


def put_mask(path: Path, place: int = 0, *, soft: bool = False) -> Path:
    """Black with two flaws, of which the second is another kind in some; `soft` ones have grey edges."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((80, 96), np.uint8)
    pixels[20:40, 10 + place : 40] = 255
    pixels[60:70, 50:60] = 255 if place % 2 else 128
    image = Image.fromarray(pixels)
    if soft:
        image = image.resize((384, 320), Image.Resampling.BICUBIC)
    image.save(path)
    return path


def found(folder: Path) -> Listing:
    """The listing of a folder of which each image but the good ones has a mask."""
    for place in range(3):
        put(folder / "good" / f"{place}.png", 50 + place)
    return listing(folder)


PAIRS = {
    "camera's BMP and a PNG": ("{}.bmp", "{}.png"),
    "camera's TIFF and a PNG": ("{}.tif", "{}.png"),
    "PNG and a BMP": ("{}.png", "{}.bmp"),
    "kinds as grey values": ("{}.jpg", "{}.png"),
    "VOC": ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
    "annotations": ("images/{}.png", "annotations/{}.png"),
    "annotations below the images": ("{}.png", "annotations/{}.png"),
    "label": ("{}.png", "label/{}.png"),
    "ground truth": ("{}.png", "{}_ground_truth.png"),
    "one of several": ("{}.png", "{}_mask_0.png"),
    "dashes": ("{}.png", "{}-seg.png"),
    "a JPEG": ("{}.png", "{}_mask.jpg"),
    "labelme": ("{}_json/img.png", "{}_json/label.png"),
    "a folder for each part": ("{}/img.png", "{}/mask.png"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_masks_are_found_where_tools_put_them(tmp_path: Path, name: str) -> None:
    image, mask = PAIRS[name]
    pairs = {
        put(tmp_path / "bad" / image.format(f"000{place}"), place): put_mask(
            tmp_path / "bad" / mask.format(f"000{place}"), place
        )
        for place in range(6)
    }
    listed = found(tmp_path)
    assert {record.path: record.mask for record in listed.records if record.label} == pairs
    assert sorted(listed.masks) == sorted(pairs.values())
    assert not listed.stray_masks
    assert {record.kind for record in listed.records} == {""}


def test_a_mask_with_soft_edges_is_one(tmp_path: Path) -> None:
    put(tmp_path / "bad" / "1.jpg", 1)
    put_mask(tmp_path / "bad" / "1.png", soft=True)
    assert len(found(tmp_path).masks) == 1


@pytest.mark.parametrize("black_on_white", [False, True])
def test_a_jpeg_that_is_called_a_mask_is_one_whatever_covers_more_of_it(
    tmp_path: Path, black_on_white: bool
) -> None:
    put(tmp_path / "bad" / "1.png", 1)
    pixels = np.zeros((80, 96), np.uint8)
    pixels[:60] = 255
    Image.fromarray(pixels[::-1] if black_on_white else pixels).save(tmp_path / "bad" / "1_mask.jpg")
    assert [path.name for path in found(tmp_path).masks] == ["1_mask.jpg"]


def test_a_photograph_as_dark_as_its_mask_keeps_the_mask(tmp_path: Path) -> None:
    for place in range(3):
        put_mask(tmp_path / "bad" / f"{place}.jpg", place)
        put_mask(tmp_path / "bad" / f"{place}.png", place)
    listed = found(tmp_path)
    pairs = {record.path.name: record.mask and record.mask.name for record in listed.records if record.label}
    assert pairs == {f"{place}.jpg": f"{place}.png" for place in range(3)}


def test_a_drawing_over_an_image_is_no_image_where_its_mask_lies_next_to_it(tmp_path: Path) -> None:
    for place in range(2):
        put(tmp_path / "bad" / f"{place}_json" / "img.png", place)
        put(tmp_path / "bad" / f"{place}_json" / "label_viz.png", 10 + place)
        put_mask(tmp_path / "bad" / f"{place}_json" / "label.png")
    listed = found(tmp_path)
    assert {record.path.name for record in listed.records if record.label} == {"img.png"}
    assert all(record.mask for record in listed.records if record.label)


def test_several_masks_of_one_image_are_left_out_and_none_is_used(tmp_path: Path) -> None:
    put(tmp_path / "bad" / "1.png", 1)
    for number in range(2):
        put_mask(tmp_path / "bad" / f"1_mask_{number}.png")
    listed = found(tmp_path)
    assert len(listed.masks) == 2
    assert [record.mask for record in listed.records if record.label] == [None]


@pytest.mark.parametrize(
    "name", ["{}_label.png", "{}_seg.png", "label/{}.png", "annotations/{}.png", "{}.bmp"]
)
def test_photographs_that_are_called_like_masks_are_images(tmp_path: Path, name: str) -> None:
    for place in range(3):
        put(tmp_path / "bad" / f"{place}.png", place)
        put(tmp_path / "bad" / name.format(place), 10 + place)
    listed = found(tmp_path)
    assert sum(record.label for record in listed.records) == 6
    assert not listed.masks


def test_photographs_of_16_bits_are_no_masks_of_their_previews(tmp_path: Path) -> None:
    put(tmp_path / "bad" / "1.jpg", 1)
    put(tmp_path / "bad" / "1.png", 1, sixteen=True)
    assert sum(record.label for record in found(tmp_path).records) == 2


def test_a_mask_that_no_image_is_named_after_is_left_out_and_named(tmp_path: Path) -> None:
    for place in range(3):
        put(tmp_path / "bad" / f"{place}_img.png", place)
    put_mask(tmp_path / "bad" / "0_x.png")
    put_mask(tmp_path / "bad" / "1_x.bmp")
    Image.new("L", (96, 80)).save(tmp_path / "bad" / "black.png")
    listed = found(tmp_path)
    assert [path.name for path in listed.stray_masks] == ["0_x.png", "1_x.bmp"]
    assert len(listed.records) == 7
    report = check(tmp_path)
    assert "masks by their pixels, left out: 2 (bad/0_x.png; bad/1_x.bmp)" in report.as_text()
    assert report.as_json()["stray_masks"] == report.stray_masks


def test_a_set_of_images_of_two_values_is_kept(tmp_path: Path) -> None:
    for place in range(4):
        put_mask(tmp_path / "bad" / f"{place}.png", place)
    assert sum(record.label for record in found(tmp_path).records) == 4


def test_a_few_masks_of_many_and_no_photograph_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    counts = mask_pixels.grey_counts

    def counted(path: Path) -> object:
        looked_at.append(path.name)
        return counts(path)

    rng = np.random.default_rng(0)
    for place in range(50):
        (tmp_path / "bad").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (80, 96), np.uint8)).save(tmp_path / "bad" / f"{place}.png")
        put_mask(tmp_path / "bad" / f"{place}_label.png")
    monkeypatch.setattr(mask_pixels, "grey_counts", counted)
    assert len(found(tmp_path).masks) == 50
    assert len([name for name in looked_at if "label" in name]) <= 16
    assert len([name for name in looked_at if "label" not in name]) <= 3
