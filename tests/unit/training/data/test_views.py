"""Views of one part that file names tell, and names that tell none."""

from pathlib import Path

import pytest

from tests.unit.training.data.files import put
from training.data.check import check
from training.data.load import listing
from training.data.splits import Split
from training.data.views import parts_of_views
from training.output.withheld import why_not_new


def groups(folder: Path) -> dict[str, str]:
    return {record.path.name: record.group for record in listing(folder).records}


def test_masks_and_images_without_a_label_are_no_views(tmp_path: Path) -> None:
    for place in range(3):
        put(tmp_path / "ok" / f"p{place}_side.png", place)
        put(tmp_path / "nok" / f"p{place}_top.png", 10 + place)
        put(tmp_path / "masks" / f"p{place}_top.png", 10 + place, mask=True)
        put(tmp_path / "archive" / f"p{place}_side.png", 20 + place)
    found = groups(tmp_path)
    assert found["p1_side.png"] == found["p1_top.png"] != found["p2_top.png"]


@pytest.mark.parametrize("name", ["Line1 Camera {:04}.png", "acA1300_cam_{:06}.png", "Line1 Camera {}.png"])
def test_the_number_of_a_frame_is_no_camera(tmp_path: Path, name: str) -> None:
    paths = [tmp_path / "ok" / name.format(frame) for frame in range(90, 120)]
    assert parts_of_views(tmp_path, paths) == {}


def test_one_camera_that_all_names_tell_shows_no_part_again(tmp_path: Path) -> None:
    assert parts_of_views(tmp_path, [tmp_path / f"{frame:04}_top.png" for frame in range(30)]) == {}


def test_views_of_nearly_all_images_name_the_parts(tmp_path: Path) -> None:
    for place in range(10):
        put(tmp_path / ("ok" if place % 2 else "nok") / f"{place:02}_top.png", place)
        put(tmp_path / ("ok" if place % 2 else "nok") / f"{place:02}_cam2.png", 20 + place)
    report = check(tmp_path)
    assert report.has_groups
    assert "20 images: 10 defect, 10 no_defect, 10 groups\n" in report.as_text()
    for place in range(10):
        put(tmp_path / "ok" / f"x{place}.png", 50 + place)
    some = check(tmp_path)
    assert not some.has_groups
    split = Split(some.records[:10], some.records[10:20], some.records[20:])
    assert "those of 20 images alone are named" in why_not_new(some, split, "test")
