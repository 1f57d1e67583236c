"""The recommendation of a shadow, by exact limits of binomial shares (Clopper and Pearson)."""

from shared.contract.rates import CONFIDENCE, RatePayload, lower, upper
from shared.contract.shadows import Advice, ShadowRecommendation, ShadowReviews

LEAST_IMAGES = 100
_SAME = 0.01  # a flip rate that is surely below it is no difference


def exact(hits: int, cases: int) -> RatePayload:
    """A share and its two-sided limits."""
    error = (1 - CONFIDENCE) / 2
    return {
        "value": hits / cases if cases else None,
        "low": lower(hits, cases, error) if cases else 0.0,
        "high": upper(hits, cases, error) if cases else 1.0,
        "confidence": CONFIDENCE,
    }


def recommend(images: int, flips: int, reviewed: ShadowReviews) -> ShadowRecommendation:
    """The advice on a candidate that gave another verdict on `flips` of `images` images.

    Both versions judged the same images, so only those on which one alone is right tell them apart: without a
    difference, that one is the candidate in half of the cases (McNemar's test, by the exact binomial limits).
    """
    candidate, model = reviewed["only_candidate_right"], reviewed["only_model_right"]
    rate, right = exact(flips, images), exact(candidate, candidate + model)
    limits = f"{right['low']:.0%} to {right['high']:.0%}"
    alone = candidate + model
    told = (
        f"of {alone} reviewed images on which one version alone is right, it is the candidate on {candidate}"
    )
    advice: Advice
    if right["low"] > 0.5:
        advice, text = "candidate", f"activate the candidate: {told} (share {limits})"
    elif right["high"] < 0.5:
        advice, text = "model", f"keep the model: {told} (share {limits})"
    elif images < LEAST_IMAGES:
        advice, text = (
            "not_enough_images",
            f"not enough images: {images} scored, {LEAST_IMAGES} are the least",
        )
    elif rate["high"] <= _SAME:
        advice = "no_difference"
        text = f"no difference worth a change: at most {rate['high']:.2%} of the images get another verdict"
    else:
        advice = "undecided"
        text = (
            f"the candidate gives another verdict on {flips} of {images} images ({rate['low']:.2%} to "
            f"{rate['high']:.2%}): review more of them; {told} (share {limits})"
        )
    return {"advice": advice, "text": text, "candidate_right": right}
