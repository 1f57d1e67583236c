"""The pointing game of heatmaps, on parts whose flaws are known."""

import numpy as np

from training.proof.pointing import hottest, play, rendered_parts, within


def test_the_shipped_model_points_at_its_flaws_far_more_often_than_chance() -> None:
    found = play(rendered_parts(), 8)
    assert found.flaws == 8
    assert (
        found.share >= 0.6
    )  # twenty flaws say little: `training quality --heatmaps 300` plays the whole game
    assert found.share >= 5 * found.chance


def test_the_hottest_place_is_the_middle_of_its_plateau_in_the_larger_image() -> None:
    falls = np.zeros((10, 20), np.float32)
    falls[2:4, 10:12] = 3.0
    assert hottest(falls, (100, 100)) == (30, 55)


def test_places_near_a_mask_are_those_within_the_distance() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0, 4] = True
    near = within(mask, 2)
    assert near.sum() == 9
    assert near[2, 4]
    assert not near[2, 5]
