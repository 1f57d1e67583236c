import numpy as np
import pytest

from shared.vision.describe import CONTRAST, describe


@pytest.mark.parametrize(
    "shape", [(16, 16, 1), (24, 40, 1), (17, 31, 3), (160, 160, 1), (224, 224, 3), (16, 300, 3)]
)
def test_images_of_any_size_get_finite_numbers(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.uint8)
    blank = np.zeros((1, *shape), np.uint8)
    for batch in (images, blank, blank + np.uint8(255)):
        statistics, samples = describe(batch)
        assert statistics.dtype == samples.dtype == np.float32
        assert len(statistics) == len(samples) == len(batch)
        assert np.isfinite(statistics).all() and np.isfinite(samples).all()


def test_an_image_is_described_alike_whatever_its_micro_batch() -> None:
    images = np.random.default_rng(1).integers(0, 256, (33, 40, 24, 1)).astype(np.uint8)
    together = describe(images)
    alone = [describe(images[place : place + 1]) for place in range(len(images))]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-4)


def test_contrast_is_told_in_grey_levels() -> None:
    images = np.zeros((2, 32, 32, 1), np.uint8)
    images[1, :, 16:] = 100
    assert np.expm1(describe(images)[0][:, CONTRAST]).round() == pytest.approx([0, 100])


def test_blur_noise_and_an_empty_half_change_the_statistics() -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(60, 200, (1, 64, 64, 1)).astype(np.uint8)
    half = image.copy()
    half[:, 32:] = 128
    soft = ((image.astype(int) + np.roll(image, 1, 2) + np.roll(image, 1, 1)) // 3).astype(np.uint8)
    plain = describe(image)[0]
    assert all(np.abs(describe(changed)[0] - plain).max() > 0.5 for changed in (half, soft))
