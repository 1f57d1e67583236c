import numpy as np
import pytest

from training.proof.operating_point import Costs, choose

RNG = np.random.default_rng(0)
P = RNG.random(4000)
LABELS = (RNG.random(4000) < P).astype(np.int64)  # calibrated by construction


def cost(threshold: float, costs: Costs) -> float:
    called = threshold <= P
    return float((LABELS & ~called).sum() * costs.escape + ((1 - LABELS) & called).sum() * costs.reject)


@pytest.mark.parametrize("costs", [Costs(1, 1), Costs(10, 1), Costs(1, 5)])
def test_no_other_threshold_is_much_cheaper(costs: Costs) -> None:
    chosen = cost(choose(P, LABELS, costs).threshold, costs)
    assert chosen <= 1.03 * min(cost(t, costs) for t in np.linspace(0.01, 0.99, 99))


def test_dearer_escapes_lower_the_threshold() -> None:
    assert choose(P, LABELS, Costs(10, 1)).threshold < choose(P, LABELS, Costs(1, 1)).threshold == 0.5


def test_a_target_keeps_validation_escapes_within_it() -> None:
    point = choose(P, LABELS, Costs(max_escape_rate=0.02))
    escapes = int(((point.threshold > P) & (LABELS == 1)).sum())
    assert escapes == int(0.02 * LABELS.sum())


def test_the_band_shrinks_to_nothing_when_a_review_costs_as_much_as_a_mistake() -> None:
    point = choose(P, LABELS, Costs(review=1.0))
    assert point.review_low == point.review_high == point.threshold


def test_the_band_holds_what_is_cheaper_to_ask_about() -> None:
    point = choose(P, LABELS, Costs(escape=1, reject=1, review=0.2))
    assert (point.review_low, point.review_high) == pytest.approx((0.2, 0.8))
    assert choose(P, LABELS, Costs(escape=20, reject=1, review=0.2)).review_low == pytest.approx(0.01)
