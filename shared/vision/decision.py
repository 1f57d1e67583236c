"""From a network's logit to a verdict: the arithmetic that every path shares."""

import math
from collections.abc import Sequence

from shared.contract.operating_point import OperatingPoint
from shared.contract.states import Reason, Verdict
from shared.registry.artifact import Calibration


def calibrated_score(logit: float, calibration: Calibration) -> float:
    """The probability of a defect, 0 to 1. Raises ValueError on NaN, so that it gets no verdict."""
    z = calibration.scale * logit + calibration.offset
    if math.isnan(z):
        raise ValueError("the network gave no number")
    # Two forms, so that exp never overflows.
    if z >= 0:
        return 1.0 / (1.0 + math.exp(-z))
    power = math.exp(z)
    return power / (1.0 + power)


def decide(score: float, point: OperatingPoint, unlike: Sequence[Reason] = ()) -> Verdict:
    """Review if the guard has found the image `unlike` those of the model, whatever the score, and in the review band
    (both ends belong to it); else defect from the threshold on."""
    if reasons_for(score, point, unlike):
        return Verdict.REVIEW
    return Verdict.DEFECT if score >= point.threshold else Verdict.NO_DEFECT


def reasons_for(score: float, point: OperatingPoint, unlike: Sequence[Reason] = ()) -> tuple[Reason, ...]:
    """The reasons why a person should look: the guard's, and the score's."""
    in_band = point.review_low < point.review_high and point.review_low <= score <= point.review_high
    return (*unlike, Reason.LOW_CONFIDENCE) if in_band else tuple(unlike)
