"""The two models that know only light and place: good where a set is leaky, at chance where it is not."""

import numpy as np
import pytest

from training.proof.baselines import (
    baselines,
    blind_features,
    brightness_histogram,
    crossed_accuracies,
    small_pixels,
)
from training.synthetic.draw import draw


def _noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (count, 24, 24), dtype=np.uint8)


LABELS = [0, 1] * 100


def test_a_set_lit_by_its_label_is_told_by_the_histogram() -> None:
    images = _noise(200, 0)
    images[1::2] -= 40
    assert baselines(images[:120], LABELS[:120], images[120:], LABELS[120:])["histogram"] > 0.95


def test_a_set_whose_label_is_a_place_is_told_by_the_pixels_only() -> None:
    images = _noise(200, 1)
    images[0::2, 3:9, 3:9], images[1::2, 15:21, 15:21] = 255, 255
    found = baselines(images[:120], LABELS[:120], images[120:], LABELS[120:])
    assert found["pixels_16x16"] > 0.95
    assert found["histogram"] < 0.7


def test_nothing_is_told_where_there_is_nothing() -> None:
    images = _noise(600, 2)
    labels = (LABELS * 3)[:600]
    found = baselines(images[:300], labels[:300], images[300:], labels[300:])
    assert all(0.38 < accuracy < 0.62 for accuracy in found.values())


def test_the_majority_is_that_of_the_training_part() -> None:
    images = _noise(8, 3)
    assert baselines(images, [0] * 6 + [1] * 2, images, [1] * 6 + [0] * 2)["majority"] == 0.25


def test_features_come_from_grey_and_colour_of_any_size() -> None:
    grey = _noise(1, 4)[0]
    colour = np.stack([grey] * 3, axis=2)
    for features, length in ((brightness_histogram, 32), (small_pixels, 256)):
        assert features(grey).shape == (length,)
        assert np.allclose(features(grey), features(colour))
        assert features(grey[:10, :13]).shape == (length,)


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(ValueError, match="images"):
        baselines(_noise(2, 5), [0, 1], [], [])


def test_rendered_parts_are_not_trivial() -> None:
    pictures = [draw(np.random.default_rng([6, place]), 64, defect=place % 2 == 1) for place in range(220)]
    images, labels = [p.image for p in pictures], [p.label for p in pictures]
    found = baselines(images[:140], labels[:140], images[140:], labels[140:])
    assert max(found.values()) <= 0.75


def test_each_fold_of_a_crossed_set_is_judged_by_the_others() -> None:
    rng = np.random.default_rng(8)
    images, fold_of = rng.integers(0, 256, (60, 20, 20)).astype(np.uint8), np.repeat([0, 1, 2], [10, 20, 30])
    labels = rng.integers(0, 2, 60)
    wanted: dict[str, float] = {}
    for fold in range(3):
        own = fold_of == fold
        for name, value in baselines(
            images[~own], labels[~own].tolist(), images[own], labels[own].tolist()
        ).items():
            wanted[name] = wanted.get(name, 0.0) + value * own.mean()
    assert crossed_accuracies((blind_features(images), labels), fold_of) == pytest.approx(wanted)
