import numpy as np
import pytest

from shared.registry.artifact import Calibration
from shared.vision.decision import calibrated_score
from training.proof.calibrate import CROSSED_OFFSET, expected_calibration_error, fit_calibration, scores


def drawn(count: int, scale: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits x and labels drawn so that scale * x + offset is the true log-odds."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, count).astype(np.float32)
    labels = (rng.random(count) < 1 / (1 + np.exp(-(scale * x + offset)))).astype(np.int64)
    return x, labels


def test_enough_images_recover_the_true_scale_and_offset() -> None:
    x, labels = drawn(20_000, scale=0.5, offset=-1.0)
    found = fit_calibration(x, labels, np.arange(len(x)))
    assert found.scale == pytest.approx(0.5, abs=0.03)
    assert found.offset == pytest.approx(-1.0, abs=0.06)


def test_calibration_lowers_the_error_of_an_overconfident_network() -> None:
    x, labels = drawn(5_000, scale=0.3, offset=0.5)
    found = fit_calibration(x, labels, np.arange(len(x)))
    before = expected_calibration_error(scores(x, Calibration(1.0, 0.0)), labels)
    assert expected_calibration_error(scores(x, found), labels) < 0.02 < before


def test_two_parts_with_many_images_cannot_move_the_offset_far() -> None:
    x = np.full(400, -1.0, np.float32)
    labels, parts = np.ones(400, np.int64), np.repeat([0, 1], 200)
    assert fit_calibration(x, labels, parts).offset < 0.3
    assert fit_calibration(x, labels, np.arange(400)).offset > 1.5


def test_a_dozen_parts_that_no_model_had_seen_move_the_offset() -> None:
    labels, groups = np.repeat([0, 1], [1200, 1200]), np.repeat(np.arange(24), 100)
    x = np.where(labels == 1, 3.0, 0.5).astype(np.float32) + np.random.default_rng(1).normal(0, 1, 2400)
    narrow = fit_calibration(x.astype(np.float32), labels, groups)
    crossed = fit_calibration(x.astype(np.float32), labels, groups, spread=CROSSED_OFFSET)
    wrong = [((scores(x.astype(np.float32), found) >= 0.5) != labels).mean() for found in (narrow, crossed)]
    assert crossed.offset < narrow.offset - 0.5
    assert wrong[1] < 0.75 * wrong[0]


def test_few_good_parts_with_many_images_do_not_make_a_score_lean_to_defect() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 600)
    x = (rng.normal(0, 1, 1200) + (2 * labels - 1)).astype(np.float32)
    parts = np.concatenate([np.repeat(np.arange(6), 100), 6 + np.repeat(np.arange(120), 5)])
    assert abs(fit_calibration(x, labels, parts).offset) < 0.3


def test_perfectly_separated_scores_stay_finite() -> None:
    x = np.array([-9.0] * 50 + [9.0] * 50, np.float32)
    found = fit_calibration(x, (x > 0).astype(np.int64), np.arange(100))
    assert np.isfinite([found.scale, found.offset]).all()


def test_many_scores_equal_the_single_one() -> None:
    calibration = Calibration(1.7, -0.4)
    x = np.array([-200.0, -3.2, 0.0, 0.7, 150.0], np.float32)
    single = [calibrated_score(float(value), calibration) for value in x]
    np.testing.assert_allclose(scores(x, calibration), single, rtol=1e-12)


def test_the_calibration_error_of_a_constant_score_is_its_distance_from_the_truth() -> None:
    assert expected_calibration_error(np.full(10, 0.9), np.array([1] * 5 + [0] * 5)) == pytest.approx(0.4)
