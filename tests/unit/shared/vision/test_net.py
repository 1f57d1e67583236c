from shared.vision.net import Shape, multiplications


def test_every_convolution_counts_the_first_one_included() -> None:
    shape = Shape("residual", 16, 16, 1, widths=(8,), blocks=(0,), stem_stride=2)
    first = 8 * 8 * 8 * (2 * 5 * 5)  # 8 x 8 places, 8 channels, 5 x 5 of the two views
    assert multiplications(shape) == first + 2 * 8


def test_mirrored_copies_are_counted() -> None:
    once, twice = (Shape("residual", 32, 32, 1, (8, 16), (1, 1), mirrors=mirrors) for mirrors in (1, 2))
    assert multiplications(twice) == 2 * multiplications(once)
