from pathlib import Path

import pytest
from PIL import Image

from shared.registry.artifact import Preprocessing
from shared.vision.net import build, multiplications
from training.fit.recipe import (
    has_colour,
    limit_for,
    mirrors_for,
    plan_for,
    preprocessing_for,
    shape_for,
)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(24, 40)] * 3, (24, 40)),  # small images keep every pixel
        ([(300, 300)] * 3, (150, 150)),  # a JPEG decoder halves them by itself
        ([(512, 512)] * 2 + [(90, 90)], (128, 128)),
        ([(640, 481)] * 3, (160, 121)),  # libjpeg rounds up
        ([(300, 310)] * 3, (160, 160)),  # nearly square: turned in training, so made square
        ([(170, 140)] * 3, (170, 140)),
        ([(600, 300)] * 3, (224, 112)),  # as many pixels, the same proportions
        ([(100, 102)] * 3, (104, 104)),
        ([(224, 224), (300, 300), (900, 900)], (160, 160)),
    ],
)
def test_the_size_follows_the_median_image(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    spec = preprocessing_for(sizes, colour=False)
    assert (spec.width, spec.height) == expected


@pytest.mark.parametrize(
    "spec", [(24, 40, 1), (64, 64, 3), (104, 104, 1), (192, 192, 1), (192, 192, 3), (272, 136, 1)]
)
def test_every_network_keeps_to_the_speed_limit(spec: tuple[int, int, int]) -> None:
    shape = shape_for(Preprocessing(*spec))
    assert multiplications(shape) <= limit_for(Preprocessing(*spec))
    build(shape)


def test_mirrors_are_paid_for_with_a_slimmer_network() -> None:
    spec = Preprocessing(24, 40, 1)
    assert shape_for(spec, mirrors=4).widths < shape_for(spec).widths
    assert multiplications(shape_for(spec, mirrors=4)) <= limit_for(spec)


def test_the_plan_fills_the_budget_and_no_more() -> None:
    assert plan_for(11_200, seconds_an_epoch=30, budget_s=1800).epochs == 55
    assert plan_for(11_200, seconds_an_epoch=600, budget_s=60).epochs == 8


def test_small_sets_get_more_epochs_of_smaller_batches() -> None:
    small, large = plan_for(300, 0.5, 1800), plan_for(11_200, 1, 1800)
    assert (small.epochs, small.batch) == (400, 32)
    assert (large.epochs, large.batch) == (228, 64)


def test_grey_stored_as_colour_is_grey(tmp_path: Path) -> None:
    Image.new("L", (40, 40), 99).convert("RGB").save(tmp_path / "grey.jpg")
    Image.new("RGB", (40, 40), (200, 90, 20)).save(tmp_path / "red.jpg")
    assert not has_colour([tmp_path / "grey.jpg"])
    assert has_colour([tmp_path / "red.jpg"])


def test_small_images_and_few_parts_are_scored_mirrored_where_mirrors_are_allowed() -> None:
    assert mirrors_for(Preprocessing(24, 40, 1), sideways=True, upright=True) == 4
    assert mirrors_for(Preprocessing(24, 40, 1), sideways=True, upright=False) == 2
    assert mirrors_for(Preprocessing(24, 40, 1), sideways=False, upright=True) == 1
    assert mirrors_for(Preprocessing(192, 192, 1), sideways=True, upright=True) == 1
    assert mirrors_for(Preprocessing(192, 192, 1), sideways=True, upright=True, few_parts=True) == 2
    assert mirrors_for(Preprocessing(192, 192, 1), sideways=False, upright=True, few_parts=True) == 1
