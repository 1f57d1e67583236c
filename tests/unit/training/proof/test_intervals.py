"""Intervals hold the truth where few parts, or none that failed, say little about parts to come."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from training.proof.calibrate import BINS, bins_of
from training.proof.metrics import Interval, by_groups, calibration_error

Floats = NDArray[np.float64]
Rates = Callable[[np.random.Generator, int], Floats]


def beta(a: float, b: float) -> Rates:
    return lambda rng, count: rng.beta(a, b, count)


def failing(share: float, rate: float) -> Rates:
    """Some parts fail as a whole; the images of all others are right at `rate`."""
    return lambda rng, count: np.where(rng.random(count) < share, 0.0, rate)


def drawn(
    rng: np.random.Generator, good: tuple[int, int, Rates], defects: tuple[int, int, Rates]
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Hits, groups and labels of so many parts, with so many images each, which are right at such rates."""
    sizes = np.concatenate([np.full(count, size) for count, size, _ in (good, defects)])
    rates = np.concatenate([of(rng, count) for count, _, of in (good, defects)])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return rng.random(len(groups)) < rates[groups], groups, (groups >= good[0]).astype(np.int64)


def of_counts(good: list[int], defects: list[int]) -> Interval:
    """Four good parts of 100 images and 100 defective ones of 4, with so many right in each."""
    right, sizes = [*good, *defects], [100] * 4 + [4] * 100
    hit = np.concatenate([np.arange(size) < count for count, size in zip(right, sizes, strict=True)])
    groups = np.repeat(np.arange(104), sizes)
    return by_groups(hit, groups, (groups >= 4).astype(np.int64))


@pytest.mark.parametrize(
    ("good", "defects"),
    [
        ([100] * 4, [4] * 100),
        ([100] * 4, [3] * 4 + [4] * 96),
        ([99, 100, 100, 100], [4] * 100),
        ([0] * 4, [4] * 100),
    ],
)
def test_four_good_parts_that_fare_alike_prove_little_beside_a_hundred_defective_ones(
    good: list[int], defects: list[int]
) -> None:
    interval = of_counts(good, defects)
    assert interval.high - interval.low > 0.17
    assert interval.low <= interval.value <= interval.high


def test_one_wrong_image_more_narrows_no_interval_for_new_parts() -> None:
    all_right, one_wrong = (of_counts([count, 100, 100, 100], [4] * 100) for count in (100, 99))
    assert one_wrong.high - one_wrong.low > 0.95 * (all_right.high - all_right.low)


@pytest.mark.parametrize(
    ("good", "defects", "truth"),
    [
        ((4, 100, failing(0.1, 1.0)), (100, 4, failing(0, 1.0)), 0.95),
        ((4, 100, failing(0.1, 0.997)), (100, 4, failing(0, 0.99)), (0.9 * 0.997 + 0.99) / 2),
        ((4, 100, beta(0.9, 0.1)), (100, 4, beta(19, 1)), 0.925),
        ((8, 50, beta(0.9, 0.1)), (100, 4, beta(19, 1)), 0.925),
        ((12, 50, beta(4.5, 0.5)), (60, 10, beta(19, 1)), 0.925),
    ],
)
def test_the_interval_holds_the_accuracy_of_new_parts_where_few_good_ones_were_judged(
    good: tuple[int, int, Rates], defects: tuple[int, int, Rates], truth: float
) -> None:
    rng, held = np.random.default_rng(7), 0
    for _ in range(200):
        interval = by_groups(*drawn(rng, good, defects))
        held += interval.low <= truth <= interval.high
    assert held >= 0.95 * 200, held


@pytest.mark.parametrize(("count", "size", "a", "b"), [(200, 4, 19, 1), (50, 4, 9, 1), (30, 20, 4, 1)])
def test_many_parts_of_both_labels_keep_the_interval_of_their_scatter(
    count: int, size: int, a: int, b: int
) -> None:
    rng, half = np.random.default_rng(8), (count, size, beta(a, b))
    rate, widths = a / (a + b), []
    between = rate * (1 - rate) / (a + b + 1)
    spread = np.sqrt((between + (rate * (1 - rate) - between) / size) / (2 * count))
    for _ in range(50):
        interval = by_groups(*drawn(rng, half, half))
        widths.append(interval.high - interval.low)
    assert np.median(widths) == pytest.approx(2 * 1.96 * spread, rel=0.06)


def sure(p: Floats) -> Floats:
    return 0.5 + 0.6 * (p - 0.5)


def as_they_say(p: Floats) -> Floats:
    return p


@pytest.mark.parametrize("truly", [as_they_say, sure])
@pytest.mark.parametrize(("groups", "size"), [(400, 1), (100, 4), (20, 20)])
def test_the_interval_of_the_calibration_error_holds_the_true_one(
    truly: Callable[[Floats], Floats], groups: int, size: int
) -> None:
    even = (np.arange(300_000) + 0.5) / 300_000
    true = np.abs(np.bincount(bins_of(even), even - truly(even), BINS) / len(even)).sum()
    rng, held, draws = np.random.default_rng(9), 0, 60
    for seed in range(draws):
        p = rng.random(groups)
        labels = (rng.random(groups) < truly(p)).astype(np.int64)
        found = calibration_error(p.repeat(size), labels.repeat(size), np.arange(groups).repeat(size), seed)
        held += found.low <= true <= found.high
    assert held >= 0.9 * draws, held


def test_many_images_show_that_scores_are_wrong() -> None:
    rng = np.random.default_rng(10)
    p = rng.random(3000)
    labels = (rng.random(3000) < sure(p)).astype(np.int64)
    assert calibration_error(p, labels, np.arange(3000)).low > 0.04
