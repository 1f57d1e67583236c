import math

import numpy as np
import pytest

from shared.contract.operating_point import OperatingPoint
from shared.vision.decision import decide
from training.proof.metrics import auroc, by_groups, report, wilson

POINT = OperatingPoint(threshold=0.5, review_low=0.3, review_high=0.7)


def test_wilson_agrees_with_the_published_example() -> None:
    interval = wilson(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_no_escape_in_thirty_does_not_prove_none() -> None:
    assert wilson(0, 30).high == pytest.approx(0.1135, abs=1e-3)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_few_parts_with_many_images_give_a_wider_interval_than_single_images() -> None:
    hit = np.repeat([True, True, True, False], 100)
    narrow = by_groups(hit, np.arange(400))
    wide = by_groups(hit, np.repeat(np.arange(4), 100))
    assert wide.value == narrow.value == 0.75
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


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
