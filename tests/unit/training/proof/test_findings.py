"""The warning of a card where nothing tells which images show one part."""

from types import SimpleNamespace
from typing import Any, cast

from training.data.report import LikeImages, Report
from training.proof.findings import unknown_parts


def warned(**found: Any) -> list[str]:
    return unknown_parts(cast("Any", SimpleNamespace(looked=Report("set", **found))))


def test_known_parts_need_no_warning() -> None:
    assert warned(has_groups=True) == []
    assert warned(proposed=[["a", "b"]]) == []


def test_unknown_parts_are_told_with_what_like_images_are_worth() -> None:
    (unasked,) = warned()
    assert "nothing tells which images show one part" in unasked and "pretrained" not in unasked
    (asked,) = warned(like_images=LikeImages(0.86, 0.9, 0.84, 0.89))
    assert asked.startswith(unasked)
    assert asked.endswith(
        "tell 86.0% of the images right (90.0% of the good ones), and 84.0% (89.0%) where like images are kept apart"
    )


def test_families_that_are_kept_apart_are_told_with_the_reason() -> None:
    (said,) = warned(like_images=LikeImages(1.0, 1.0, 0.86, 0.84), families=16)
    assert "100.0%" in said and "86.0%" in said and "16 families of like images" in said
