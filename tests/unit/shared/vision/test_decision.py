import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.operating_point import OperatingPoint
from shared.contract.states import Reason, Verdict
from shared.registry.artifact import Calibration
from shared.vision.decision import calibrated_score, decide, reasons_for

PLAIN = Calibration(scale=1.0, offset=0.0)
BAND = OperatingPoint(threshold=0.5, review_low=0.4, review_high=0.6)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.0, Verdict.NO_DEFECT),
        (0.3999, Verdict.NO_DEFECT),
        (0.4, Verdict.REVIEW),
        (0.5, Verdict.REVIEW),
        (0.6, Verdict.REVIEW),
        (0.6001, Verdict.DEFECT),
        (1.0, Verdict.DEFECT),
    ],
)
def test_both_ends_of_the_review_band_belong_to_it(score: float, verdict: Verdict) -> None:
    assert decide(score, BAND) is verdict


@pytest.mark.parametrize("score", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_an_image_that_the_guard_flags_is_reviewed_whatever_its_score(score: float) -> None:
    for point in (BAND, OperatingPoint(threshold=0.5, review_low=0.5, review_high=0.5)):
        assert decide(score, point, [Reason.UNFAMILIAR]) is Verdict.REVIEW


@given(st.floats(0, 1), st.sampled_from([(), (Reason.BLANK,), (Reason.UNFAMILIAR,)]))
def test_a_verdict_is_review_exactly_where_there_is_a_reason(
    score: float, unlike: tuple[Reason, ...]
) -> None:
    reasons = reasons_for(score, BAND, unlike)
    assert (decide(score, BAND, unlike) is Verdict.REVIEW) == bool(reasons)
    assert reasons[: len(unlike)] == unlike
    assert (Reason.LOW_CONFIDENCE in reasons) == (0.4 <= score <= 0.6)


def test_without_a_band_the_threshold_itself_is_a_defect() -> None:
    point = OperatingPoint(threshold=0.5, review_low=0.5, review_high=0.5)
    assert decide(0.5, point) is Verdict.DEFECT
    assert decide(math.nextafter(0.5, 0), point) is Verdict.NO_DEFECT


@given(st.floats(allow_nan=False), st.floats(-50, 50), st.floats(-50, 50))
def test_any_logit_gives_a_probability(logit: float, scale: float, offset: float) -> None:
    if math.isinf(logit) and scale == 0:
        return
    assert 0.0 <= calibrated_score(logit, Calibration(scale, offset)) <= 1.0


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_a_higher_logit_never_scores_lower(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert calibrated_score(low, PLAIN) <= calibrated_score(high, PLAIN)


def test_scale_and_offset_act_before_the_sigmoid() -> None:
    assert calibrated_score(2.0, Calibration(0.5, -1.0)) == 0.5
    assert calibrated_score(1.0, PLAIN) == pytest.approx(0.7310585786)


def test_a_logit_that_is_no_number_gets_no_score() -> None:
    with pytest.raises(ValueError, match="no number"):
        calibrated_score(math.nan, PLAIN)
