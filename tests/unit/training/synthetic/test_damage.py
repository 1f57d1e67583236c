"""Damage that is drawn into good images: marked, seen, and nowhere else."""

import numpy as np

from training.synthetic.damage import damaged


def test_each_copy_has_damage_that_its_mask_marks_and_is_itself_elsewhere() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(120, 10, (60, 40, 56, 1)).clip(0, 255).astype(np.uint8)
    copies, masks = damaged(images, np.random.default_rng(1))
    assert copies.shape == images.shape
    assert masks.shape == (60, 40, 56, 1)
    change = np.abs(copies.astype(int) - images)
    for moved, mask in zip(change, masks, strict=True):
        assert mask.any()
        assert moved[mask == 255].max() >= 12
        assert (moved > 0).mean() < 0.5
        assert moved[mask == 255].mean() > moved[mask == 0].mean()


def test_the_same_seed_draws_the_same_damage() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3)).astype(np.uint8)
    first, again = (damaged(images, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != damaged(images, np.random.default_rng(5))[0]).any()


def test_images_without_any_contrast_are_damaged_as_well() -> None:
    blank = np.stack([np.full((24, 40, 1), level, np.uint8) for level in (0, 3, 128, 255)])
    copies, masks = damaged(blank, np.random.default_rng(2))
    assert all(mask.any() for mask in masks)
    assert all((copy != image).any() for copy, image in zip(copies, blank, strict=True))
