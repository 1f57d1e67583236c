"""The recommendation of a shadow follows the exact limits."""

import pytest

from shared.contract.shadow_advice import exact, recommend
from shared.contract.shadows import ShadowReviews


def reviewed(model: int, candidate: int) -> ShadowReviews:
    return {
        "images": model + candidate + 50,
        "both_right": 50,
        "both_wrong": 0,
        "only_model_right": model,
        "only_candidate_right": candidate,
    }


@pytest.mark.parametrize(
    ("images", "flips", "model", "candidate", "advice"),
    [
        (50, 10, 0, 5, "not_enough_images"),  # 5 of 5 happen by chance in one case of 16
        (50, 10, 0, 6, "candidate"),
        (50, 10, 6, 0, "model"),
        (1000, 0, 0, 0, "no_difference"),
        (1000, 5, 1, 1, "undecided"),
        (300, 0, 0, 0, "undecided"),  # up to 1.2 % may differ
    ],
)
def test_the_advice_follows_the_limits(
    images: int, flips: int, model: int, candidate: int, advice: str
) -> None:
    found = recommend(images, flips, reviewed(model, candidate))
    assert found["advice"] == advice, found["text"]


def test_the_limits_are_those_of_clopper_and_pearson() -> None:
    found = exact(1, 10)
    assert found["value"] == 0.1
    assert found["low"] == pytest.approx(0.00253, abs=1e-5)
    assert found["high"] == pytest.approx(0.44502, abs=1e-5)
    assert exact(0, 0) == {"value": None, "low": 0.0, "high": 1.0, "confidence": 0.95}
