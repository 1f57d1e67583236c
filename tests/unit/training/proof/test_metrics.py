import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.vision.decision import decide
from training.proof.metrics import CROSSED_WORTH, auroc, by_groups, report, wilson

POINT = OperatingPoint(threshold=0.5, review_low=0.3, review_high=0.7)


def test_wilson_agrees_with_the_published_example() -> None:
    interval = wilson(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_no_escape_in_thirty_does_not_prove_none() -> None:
    assert wilson(0, 30).high == pytest.approx(0.1135, abs=1e-3)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_few_parts_with_many_images_give_a_wider_interval_than_single_images() -> None:
    hit = np.repeat([True, True, True, False], 100)
    narrow = by_groups(hit, np.arange(400), np.ones(400, np.int64))
    wide = by_groups(hit, np.repeat(np.arange(4), 100), np.ones(400, np.int64))
    assert wide.value == narrow.value == 0.75
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def nearest_mean(
    x: NDArray[np.float64], labels: NDArray[np.int64]
) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    low, high = (x[labels == label].mean(0) for label in (0, 1))
    return lambda other: (other - (low + high) / 2) @ (high - low) > 0


def test_the_interval_of_a_cross_fitted_accuracy_holds_the_one_on_fresh_images() -> None:
    held, draws, count = {1.0: 0, CROSSED_WORTH: 0}, 300, 40
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels = np.arange(count + 1000) % 2
        x = rng.normal(0, 1, (len(labels), 60)) + 0.2 * labels[:, None]
        own, fresh = labels[:count] == 1, labels[count:] == 1
        accuracy = float((nearest_mean(x[:count], labels[:count])(x[count:]) == fresh).mean())
        hit = np.zeros(count, bool)
        for fold in np.array_split(rng.permutation(count), 5):
            rest = np.setdiff1d(np.arange(count), fold)
            hit[fold] = nearest_mean(x[rest], labels[rest])(x[fold]) == own[fold]
        for worth in held:
            interval = by_groups(hit, np.arange(count), labels[:count], worth=worth)
            held[worth] += interval.low <= accuracy <= interval.high
    assert held[1.0] < 0.9 * draws < 0.95 * draws <= held[CROSSED_WORTH], held


def test_a_cross_fitted_report_has_wider_intervals_and_the_same_values() -> None:
    p, labels, groups = np.linspace(0, 1, 40), (np.linspace(0, 1, 40) > 0.4).astype(np.int64), np.arange(40)
    plain, crossed = (report(p, labels, groups, POINT, crossed=crossed) for crossed in (False, True))
    for name in ("accuracy", "accuracy_by_groups", "accuracy_at_half", "escape_rate", "false_reject_rate"):
        one, other = getattr(plain, name), getattr(crossed, name)
        assert one.value == other.value
        assert other.high - other.low > one.high - one.low


@pytest.mark.parametrize(
    ("p", "labels", "area"),
    [
        ([0.1, 0.9], [0, 1], 1.0),
        ([0.9, 0.1], [0, 1], 0.0),
        ([0.5, 0.5], [0, 1], 0.5),
        ([1, 2, 2, 3], [0, 0, 1, 1], 0.875),
    ],
)
def test_auroc_counts_ties_half(p: list[float], labels: list[int], area: float) -> None:
    assert auroc(np.array(p, float), np.array(labels)) == area


def test_auroc_of_one_class_is_no_number() -> None:
    assert math.isnan(auroc(np.array([0.1, 0.2]), np.array([0, 0])))


def test_the_report_counts_what_the_verdicts_say() -> None:
    rng = np.random.default_rng(3)
    p, labels = rng.random(500), rng.integers(0, 2, 500)
    result = report(p, labels, np.arange(500), POINT)
    verdicts = [decide(float(score), POINT).value for score in p]
    assert result.reviewed == verdicts.count("review")
    assert result.escapes_after_review == sum(
        v == "no_defect" and t == 1 for v, t in zip(verdicts, labels, strict=True)
    )
    assert result.false_rejects_after_review == sum(
        v == "defect" and t == 0 for v, t in zip(verdicts, labels, strict=True)
    )
    assert result.escapes == int(((p < 0.5) & (labels == 1)).sum())
    even = report(p, labels, np.arange(500), OperatingPoint(0.1, 0.1, 0.1)).accuracy_at_half
    assert even == result.accuracy  # its threshold is one half
    assert result.accuracy.value == pytest.approx(1 - (result.escapes + result.false_rejects) / 500)


def test_a_perfect_model_has_full_marks() -> None:
    result = report(np.array([0.01, 0.02, 0.98, 0.99]), np.array([0, 0, 1, 1]), np.arange(4), POINT)
    assert (result.accuracy.value, result.auroc, result.average_precision, result.reviewed) == (1, 1, 1, 0)
    assert result.accuracy.low < 0.6
