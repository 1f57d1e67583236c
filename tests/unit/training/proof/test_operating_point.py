import numpy as np
import pytest

from shared.registry.artifact import Calibration
from training.proof.bounds import misses_allowed
from training.proof.calibrate import at_prevalence, fit_calibration, scores
from training.proof.operating_point import Costs, boundary, choose, promised

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
    costs, defects = Costs(max_escape_rate=0.02), P[LABELS == 1]
    point = choose(P, LABELS, costs, promised(defects, np.arange(len(defects)), costs))
    escapes = int(((point.review_low > P) & (LABELS == 1)).sum())
    assert escapes == misses_allowed(int(LABELS.sum()), 0.02, 0.95)
    assert 0 < escapes < 0.02 * LABELS.sum()


def test_the_band_shrinks_to_nothing_when_a_review_costs_as_much_as_a_mistake() -> None:
    point = choose(P, LABELS, Costs(1, 1, review=1.0))
    assert point.review_low == point.review_high == point.threshold


def test_the_band_holds_what_is_cheaper_to_ask_about() -> None:
    point = choose(P, LABELS, Costs(escape=1, reject=1, review=0.2))
    assert (point.review_low, point.review_high) == pytest.approx((0.2, 0.8), abs=0.04)
    assert choose(P, LABELS, Costs(escape=20, reject=1, review=0.2)).review_low == pytest.approx(
        0.01, abs=0.01
    )


def test_an_escape_costs_ten_false_rejects_where_nothing_is_said() -> None:
    assert choose(P, LABELS, Costs()).threshold == pytest.approx(1 / 11)


def test_the_band_follows_the_images_where_their_scores_are_wrong() -> None:
    p = np.linspace(0, 1, 1000)
    sure = (p > 0.5).astype(np.int64)  # the labels change at one score, so that few images are worth a look
    narrow, wide = choose(p, sure, Costs(1, 1)), choose(P, LABELS, Costs(1, 1))
    assert narrow.review_high - narrow.review_low < wide.review_high - wide.review_low


@pytest.mark.parametrize(
    "costs", [Costs(escape=0), Costs(reject=0), Costs(review=0), Costs(review=0, escape=0)]
)
def test_a_mistake_or_a_look_may_cost_nothing(costs: Costs) -> None:
    point = choose(P, LABELS, costs)
    assert 0 <= point.review_low <= point.threshold <= point.review_high <= 1


@pytest.mark.parametrize(
    "values",
    [
        {"escape": 0, "reject": 0},
        {"escape": -1},
        {"review": float("nan")},
        {"max_escape_rate": 0},
        {"confidence": 1},
    ],
)
def test_costs_that_mean_nothing_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"cost|escapes|confidence"):
        Costs(**values)


def test_a_stated_prevalence_moves_scores_and_band_to_the_line_that_will_be_judged() -> None:
    rng = np.random.default_rng(8)
    labels = np.repeat([0, 1], 2000)
    logits = (rng.normal(0, 1, 4000) + 3 * labels - 1.5).astype(np.float32)
    own = fit_calibration(logits, labels, np.arange(4000))
    rare = at_prevalence(own, labels, 0.02)
    line = np.concatenate([np.arange(2000), rng.integers(2000, 4000, 40)])  # two defects in a hundred
    assert scores(logits[line], rare).mean() == pytest.approx(40 / 2040, rel=0.4)
    point = choose(scores(logits, rare), labels, Costs(prevalence=0.02))
    even = choose(scores(logits, own), labels, Costs())
    assert float((scores(logits[labels == 0], rare) >= point.review_low).mean()) < 0.5 * float(
        (scores(logits[labels == 0], own) >= even.review_low).mean()
    )
    assert at_prevalence(own, np.ones(5, np.int64), 0.02) == own


@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_the_boundary_is_where_a_score_for_the_line_meets_the_threshold(prevalence: float | None) -> None:
    labels, costs = np.repeat([0, 1], [300, 100]), Costs(prevalence=prevalence)
    line = at_prevalence(Calibration(1.0, 0.0), labels, prevalence)
    odds = np.array([boundary(costs, labels)], np.float32)
    point = choose(np.linspace(0, 1, 400), labels, costs)
    assert scores(odds, line)[0] == pytest.approx(point.threshold, rel=1e-5)


def test_the_boundary_of_equal_costs_is_even_odds_and_that_of_free_mistakes_is_finite() -> None:
    labels = np.repeat([0, 1], 50)
    assert boundary(Costs(0.3, 0.3), labels) == 0.0
    assert boundary(Costs(reject=0), labels) == pytest.approx(-boundary(Costs(escape=0), labels), rel=1e-3)
    assert -30 < boundary(Costs(reject=0), labels) < boundary(Costs(), labels)
