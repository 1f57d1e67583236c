import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint

MODEL = OperatingPoint(threshold=0.5, review_low=0.4, review_high=0.8)
ANY_NUMBER = st.floats(-0.5, 1.5) | st.sampled_from([math.nan, math.inf, -math.inf, True, "0.5", None])


@given(ANY_NUMBER, ANY_NUMBER, ANY_NUMBER)
def test_an_operating_point_has_its_threshold_within_its_band(
    threshold: float, low: float, high: float
) -> None:
    try:
        point = OperatingPoint(threshold, low, high)
    except InvalidOperatingPoint:
        return
    assert 0 <= point.review_low <= point.threshold <= point.review_high <= 1


@given(st.none() | ANY_NUMBER, st.none() | st.tuples(ANY_NUMBER, ANY_NUMBER))
def test_a_request_combined_with_a_model_fits_or_is_refused(
    threshold: float | None, band: tuple[float, float] | None
) -> None:
    try:
        point = MODEL.changed(threshold, band)
    except InvalidOperatingPoint:
        return
    assert 0 <= point.review_low <= point.threshold <= point.review_high <= 1
    assert point.threshold == (MODEL.threshold if threshold is None else threshold)
    assert (point.review_low, point.review_high) == ((0.4, 0.8) if band is None else band)


def test_a_threshold_outside_the_models_band_is_refused_naming_both() -> None:
    with pytest.raises(InvalidOperatingPoint, match=r"0\.9 .*\[0\.4, 0\.8\]") as caught:
        MODEL.changed(threshold=0.9)
    assert caught.value.code == "invalid_operating_point"


def test_a_band_that_leaves_out_the_models_threshold_is_refused_naming_both() -> None:
    with pytest.raises(InvalidOperatingPoint, match=r"0\.5 .*\[0\.6, 0\.7\]"):
        MODEL.changed(review_band=[0.6, 0.7])


def test_both_parts_together_replace_the_models() -> None:
    assert MODEL.changed(0.9, (0.85, 0.95)) == OperatingPoint(0.9, 0.85, 0.95)
