"""Drift is noticed, and neither chance nor another share of defects is called drift."""

import math
from typing import Any

import numpy as np
import pytest

from shared.vision.drift import (
    BINS,
    FALSE_ALARMS,
    SCORE,
    UNFAMILIARITY,
    Reference,
    compare,
    counted,
    read_reference,
    score_bin,
    unfamiliarity_bin,
)

RNG = np.random.default_rng(7)


def sample(images: int, *, defects: float, light: float = 0.0) -> list[tuple[float, float]]:
    """Scores and unfamiliarities of parts of which a share are defects; `light` moves both."""
    is_defect = RNG.random(images) < defects
    odds = np.where(is_defect, RNG.normal(3, 2, images), RNG.normal(-4, 1.5, images)) + 3 * light
    distance = np.where(is_defect, RNG.normal(0.4, 0.2, images), RNG.normal(0.2, 0.2, images)) + light
    return list(zip((1 / (1 + np.exp(-odds))).tolist(), distance.tolist(), strict=True))


REFERENCE = Reference(good=counted(sample(1000, defects=0)), defect=counted(sample(1000, defects=1)))


def test_chance_and_another_share_of_defects_are_no_drift() -> None:
    windows = [
        compare(counted(sample(200, defects=share)), REFERENCE)
        for share in (0.0, 0.02, 0.3, 1.0)
        for _ in range(250)
    ]
    assert sum(window.drifted for window in windows) <= 3 * FALSE_ALARMS * len(windows)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_images_that_look_otherwise_are_drift(share: float) -> None:
    seen = [compare(counted(sample(200, defects=share, light=0.2)), REFERENCE).drifted for _ in range(50)]
    assert sum(seen) >= 45


def test_the_share_of_defects_is_told() -> None:
    found = compare(counted(sample(2000, defects=0.3)), REFERENCE)
    assert found.images == 2000
    assert found.defect_share == pytest.approx(0.3, abs=0.05)


def test_many_images_do_not_make_a_small_difference_drift() -> None:
    found = compare(counted(sample(100_000, defects=0.0, light=0.01)), REFERENCE)
    assert not found.drifted, found


@pytest.mark.parametrize("score", [0.0, 1e-300, 0.5, 1 - 1e-16, 1.0])
def test_every_score_has_a_bin(score: float) -> None:
    assert 0 <= score_bin(score) < BINS[SCORE]


@pytest.mark.parametrize("distance", [-math.inf, -5.0, 0.99, 1.0, 1e300, math.inf, math.nan])
def test_every_distance_has_a_bin(distance: float) -> None:
    assert 0 <= unfamiliarity_bin(distance) < BINS[UNFAMILIARITY]
    assert unfamiliarity_bin(0.999) < unfamiliarity_bin(1.001)


def test_a_model_without_a_guard_is_compared_by_its_scores() -> None:
    alone = {SCORE: counted(sample(300, defects=0.1))[SCORE], UNFAMILIARITY: [0] * BINS[UNFAMILIARITY]}
    assert [*compare(alone, REFERENCE).distances] == [SCORE]
    assert not compare(alone, REFERENCE).drifted


def test_a_reference_of_good_parts_only_is_used_as_it_is() -> None:
    nothing = {measure: [0] * size for measure, size in BINS.items()}
    good_only = Reference(REFERENCE.good, nothing)
    assert not compare(counted(sample(300, defects=0.0)), good_only).drifted
    assert compare(counted(sample(300, defects=0.6)), good_only).drifted


def test_a_card_gives_its_reference_back() -> None:
    assert read_reference({"reference": REFERENCE.as_card()}) == REFERENCE


@pytest.mark.parametrize(
    "held",
    [
        None, 3, [], {}, {"good": {}, "defect": {}},
        {"good": {SCORE: [1] * BINS[SCORE]}, "defect": REFERENCE.defect},
        {"good": {SCORE: [-1] * BINS[SCORE], UNFAMILIARITY: [1] * BINS[UNFAMILIARITY]}, "defect": REFERENCE.defect},
        {"good": {SCORE: [True] * BINS[SCORE], UNFAMILIARITY: [1] * BINS[UNFAMILIARITY]}, "defect": REFERENCE.defect},
        {"good": {SCORE: [0] * BINS[SCORE], UNFAMILIARITY: [0] * BINS[UNFAMILIARITY]}, "defect": REFERENCE.defect},
    ],
)  # fmt: skip
def test_a_reference_that_cannot_be_read_is_none(held: Any) -> None:
    assert read_reference({"reference": held}) is None
