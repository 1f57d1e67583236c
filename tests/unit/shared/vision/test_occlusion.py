"""The heat of an image lies where the network looks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.vision.occlusion import heat


def darkest(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A network that sees a flaw in dark pixels, whatever their place."""
    return np.asarray((255.0 - images.min((1, 2, 3))) / 16, np.float32)


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(160, 160, 1), (24, 40, 1), (96, 128, 3), (3, 3, 1)]
)
def test_the_hottest_place_is_the_flaw(height: int, width: int, channels: int) -> None:
    image = np.full((height, width, channels), 200, np.uint8)
    row, column = height // 3, 2 * width // 3
    image[row : row + max(1, height // 20), column : column + max(1, width // 20)] = 10
    falls = heat(darkest, image)
    assert falls.shape == (height, width)
    rows, columns = np.nonzero(falls >= falls.max() - 1e-6)
    assert abs(rows.mean() - row) <= max(2, height / 12)
    assert abs(columns.mean() - column) <= max(2, width / 12)


def test_a_plain_image_has_no_heat() -> None:
    assert np.abs(heat(darkest, np.full((64, 64, 1), 128, np.uint8))).max() == 0
