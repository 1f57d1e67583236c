"""Lines of a card that say where its figures hold and where to doubt them."""

import math

import numpy as np
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from training.fit.part import Part
from training.output.findings import finding_lines
from training.proof.crossed import cross_calibrated
from training.proof.doubts import likely_label_errors, risk_coverage, shortcuts
from training.proof.good_point import good_point, tail
from training.proof.metrics import by_groups, calibration_error
from training.proof.robustness import CHANGES, robustness

POINT = OperatingPoint(0.5, 0.4, 0.6)


def drawn(count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    p = np.random.default_rng(1).random(count)
    return p, (np.random.default_rng(2).random(count) < p).astype(np.int64)


def test_errors_fall_when_the_least_certain_images_go_to_a_person() -> None:
    p, labels = drawn(4000)
    errors = [row["error"] for row in risk_coverage(p, labels, POINT)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * errors[0]


def test_wrong_labels_are_named_first() -> None:
    labels = np.arange(200) % 2
    p = np.where(labels == 1, 0.93, 0.06)
    given = labels.copy()
    given[[7, 20]] ^= 1
    found = likely_label_errors([str(i) for i in range(200)], p, given)
    assert {row["file"] for row in found} == {"7", "20"}
    assert likely_label_errors(["a"], np.array([0.5]), np.array([1])) == []


def test_a_set_that_brightness_decides_is_warned_of() -> None:
    seen = {"majority": 0.5, "histogram": 0.987, "pixels_16x16": 0.6}
    assert shortcuts(seen, 0.99)[0].startswith("brightness alone tells 98.7%")
    assert shortcuts(seen | {"histogram": 0.7}, 0.99) == []
    assert "the number of pixels of each side" in shortcuts({"majority": 0.5, "image_size": 1.0}, 1.0)[0]
    assert shortcuts(seen, 0.3)  # a network worse than a guess hides no shortcut


def test_other_light_shows_a_model_that_sees_light_alone() -> None:
    labels = np.arange(100) % 2
    noise = np.random.default_rng(6).normal(100, 3, (100, 24, 24, 1))
    images = (noise + 30 * labels[:, None, None, None]).astype(np.uint8)

    def score(changed: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(changed.mean((1, 2, 3)) > 115, np.float64)

    found = robustness(images, labels, score, POINT)
    assert list(found) == list(CHANGES)
    assert found["as it is"]["accuracy"] == found["shifted by 3 %"]["accuracy"] == 1.0
    assert found["light x 0.8"] == {
        "images": 100, "accuracy": 0.5, "escapes": 50, "false_rejects": 0, "review_share": 0.0,
    }  # fmt: skip
    colour = robustness(np.repeat(images, 3, 3), labels, score, POINT, most=10)
    assert colour["JPEG quality 50"]["images"] == 10


def test_findings_are_readable_and_absent_from_older_cards() -> None:
    p, labels = drawn(50)
    card = {
        "warnings": ["brightness alone"],
        "risk_coverage": risk_coverage(p, labels, POINT),
        "label_doubts": [{"file": "a.png", "label": "defect", "score": 0.01}],
        "robustness": None,
    }
    text = "\n".join(finding_lines(card))
    assert "**Warning:** brightness alone." in text
    assert "| a.png | defect | 0.010 |" in text
    assert finding_lines({}) == []


def test_fourteen_parts_without_an_error_prove_no_more_than_fourteen_images_would() -> None:
    hit, groups = np.ones(1400, bool), np.repeat(np.arange(14), 100)
    interval = by_groups(hit, groups, np.ones(1400, np.int64))
    assert interval.value == 1.0
    assert 0.75 < interval.low < 0.8


def test_the_interval_by_groups_holds_the_rate_of_new_parts() -> None:
    rng, held = np.random.default_rng(3), 0
    for _ in range(300):
        rates = rng.beta(4, 1, 30)  # parts differ: some are always judged right, others hardly ever
        groups = np.repeat(np.arange(30), 20)
        interval = by_groups(rng.random(600) < rates[groups], groups, np.ones(600, np.int64))
        held += interval.low <= 0.8 <= interval.high
    assert 0.91 < held / 300 <= 0.995


def test_the_interval_of_few_good_parts_holds_though_many_defective_ones_stand_beside_them() -> None:
    rng, draws = np.random.default_rng(4), 300
    groups = np.concatenate([np.repeat(np.arange(4), 50), np.arange(4, 104).repeat(2)])
    labels = (groups >= 4).astype(np.int64)
    held = {"told apart": 0, "as one": 0}
    for _ in range(draws):
        rates = np.where(np.arange(104) < 4, rng.beta(2, 1, 104), 1.0)
        hit = rng.random(400) < rates[groups]
        for name, kind in (("told apart", labels), ("as one", np.ones_like(labels))):
            interval = by_groups(hit, groups, kind)
            held[name] += interval.low <= 5 / 6 <= interval.high
    assert held["as one"] < 0.95 * draws < 0.97 * draws <= held["told apart"], held


def test_a_calibration_error_needs_images_to_carry_it() -> None:
    p, labels = drawn(3000)
    carried = calibration_error(p, labels, np.arange(3000))
    assert carried.low <= carried.value <= carried.high
    assert carried.high < 0.05
    assert math.isnan(calibration_error(p[:199], labels[:199], np.arange(199)).value)


def test_no_label_moves_the_score_of_its_own_fold() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(60) % 2
    logits = (rng.normal(0, 1, 60) + labels).astype(np.float32)
    images, fold_of = np.zeros((60, 1, 1, 1), np.uint8), np.arange(60) // 12
    before = cross_calibrated(logits, Part(images, labels, np.arange(60)), fold_of)
    flipped = labels.copy()
    flipped[:12] ^= 1
    after = cross_calibrated(logits, Part(images, flipped, np.arange(60)), fold_of)
    np.testing.assert_array_equal(before[:12], after[:12])
    assert not np.array_equal(before[12:], after[12:])


def test_a_model_of_good_parts_rejects_one_in_a_hundred_of_them() -> None:
    rng = np.random.default_rng(5)
    assert abs(tail(rng.exponential(1, 20_000), 0.01) - np.log(100)) < 0.15
    logits = np.concatenate([rng.normal(-3, 1, 500), [-1.0]]).astype(np.float32)
    _, without = good_point(logits[:500], np.zeros(500, np.int64), np.arange(500))
    _, with_defect = good_point(logits, np.repeat([0, 1], [500, 1]), np.arange(501))
    assert with_defect.review_low < 0.28 < 0.5 == with_defect.threshold
    assert without.review_low >= with_defect.review_low


def test_where_parts_are_not_known_a_shortcut_may_be_a_part_seen_again() -> None:
    seen = {"majority": 0.5, "pixels_16x16": 0.95}
    assert "show the same parts" in shortcuts(seen, 0.99, knows_parts=False)[0]
    assert "show the same parts" not in shortcuts(seen, 0.99)[0]
