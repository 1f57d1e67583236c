"""From a network's logit to a verdict: the arithmetic that every path shares."""

import math

from shared.contract.operating_point import OperatingPoint
from shared.contract.states import Verdict
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


def decide(score: float, point: OperatingPoint) -> Verdict:
    """`review` inside the band, both ends included; else `defect` from the threshold on."""
    if point.review_low < point.review_high and point.review_low <= score <= point.review_high:
        return Verdict.REVIEW
    return Verdict.DEFECT if score >= point.threshold else Verdict.NO_DEFECT
