"""The choice among a small network, pretrained features, their mean, and a cascade of both."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.fit.choice import CASCADE, FEATURES, MEAN, SMALL, Choice, Pace, choose_served
from training.fit.part import Part
from training.output.candidates import choice_lines
from training.proof.operating_point import Costs, boundary

Floats = NDArray[np.float32]


@pytest.fixture
def held() -> Part:
    return Part(np.zeros((600, 1, 1, 1), np.uint8), np.arange(600) % 2, np.arange(600))


def drawn(held: Part, small: float, features: float, seed: int = 0) -> dict[str, Floats]:
    """Logits with so many spreads between the labels; both networks err on different images."""
    rng, sign = np.random.default_rng(seed), 2.0 * held.labels - 1
    return {
        name: (far * sign + rng.normal(0, 1, len(held))).astype(np.float32)
        for name, far in ((SMALL, small), (FEATURES, features))
    }


def test_the_strong_network_judges_as_many_images_as_the_asked_speed_leaves_time_for(held: Part) -> None:
    for asked, most in ((None, 0.1), (500.0, 0.1), (800.0, 0.025)):
        pace = Pace(small=0.001, features=0.01, asked=asked)
        assert pace.share() == pytest.approx(most)
        choice = choose_served(drawn(held, 1.5, 2.5), held, CASCADE, pace)
        assert choice.card["cascade"]["share"] == pytest.approx(most, abs=1 / len(held))
        speed = choice.card["candidates"][CASCADE]["images_per_second"]
        assert speed == pytest.approx(asked or 500.0, rel=0.02)
        changed = (choice.logits != logits_of(choice, SMALL, held)).mean()
        assert changed == pytest.approx(most, abs=1 / len(held))


def logits_of(choice: Choice, name: str, held: Part) -> Floats:
    """The log odds of one of the two, by the scales that the artifact gets."""
    factor, offset = choice.scales[0 if name == SMALL else 1]
    return np.asarray(2 * (drawn(held, 1.5, 2.5)[name] * factor + offset), np.float32)


def test_what_the_fast_network_is_sure_of_stays_and_the_rest_gets_the_mean(held: Part) -> None:
    choice = choose_served(drawn(held, 1.5, 2.5), held, CASCADE, Pace(0.001, 0.01))
    small, features = (logits_of(choice, name, held) for name in (SMALL, FEATURES))
    unsure = np.abs(small) < choice.unsure
    np.testing.assert_allclose(choice.logits[~unsure], small[~unsure], atol=1e-5)
    np.testing.assert_allclose(choice.logits[unsure], (small + features)[unsure] / 2, atol=1e-5)
    assert choice.card["cascade"]["gain"]["accuracy"] > 0 > choice.card["cascade"]["gain"]["log_loss"]


@pytest.mark.parametrize(
    ("asked", "served"), [(None, MEAN), (50.0, MEAN), (500.0, CASCADE), (990.0, SMALL), (5000.0, SMALL)]
)
def test_the_best_network_that_is_as_fast_as_was_asked_serves(
    held: Part, asked: float | None, served: str
) -> None:
    choice = choose_served(drawn(held, 1.5, 1.6), held, "auto", Pace(0.001, 0.01, asked))
    assert choice.kind == served, choice.card


def test_of_few_images_the_features_serve_unless_another_network_is_surely_better() -> None:
    few = Part(np.zeros((40, 1, 1, 1), np.uint8), np.arange(40) % 2, np.arange(40))
    smaller_by_chance = 0
    for seed in range(12):
        features = drawn(few, 1.0, 1.0, seed)[FEATURES]
        small = features + np.random.default_rng(seed).normal(0, 0.2, 40).astype(np.float32)
        choice = choose_served({SMALL: small, FEATURES: features}, few, "auto", few=True)
        losses = {name: row["log_loss"] for name, row in choice.card["candidates"].items()}
        smaller_by_chance += choice.kind == FEATURES != min(losses, key=lambda name: losses[name])
        assert choose_served(drawn(few, 3.0, 0.3, seed), few, "auto", few=True).kind == SMALL
    assert smaller_by_chance >= 4


def test_features_that_are_too_slow_serve_no_few_images() -> None:
    few = Part(np.zeros((40, 1, 1, 1), np.uint8), np.arange(40) % 2, np.arange(40))
    choice = choose_served(drawn(few, 1.0, 2.0), few, "auto", Pace(0.001, 0.01, 5000.0), few=True)
    assert choice.kind == SMALL


def test_the_strong_network_judges_the_images_nearest_to_the_boundary_of_the_costs(held: Part) -> None:
    logits, pace, centre = drawn(held, 1.5, 2.5), Pace(0.001, 0.01), boundary(Costs(), held.labels)
    even = choose_served(logits, held, CASCADE, pace)
    choice = choose_served(logits, held, CASCADE, pace, centre=centre)
    small, features = (logits_of(even, name, held) for name in (SMALL, FEATURES))
    asked = np.argsort(np.abs(small - centre))[: len(held) // 10]
    odds = small.copy()
    odds[asked] = (small + features)[asked] / 2
    np.testing.assert_allclose(choice.logits + centre, odds, atol=1e-5)
    passed = choice.logits < 0
    assert passed[asked].any() and not passed[asked].all()
    away = logits_of(choice, SMALL, held)  # as the graph sees it: the boundary is 0
    np.testing.assert_allclose(away, small - centre, atol=1e-5)
    assert set(np.flatnonzero(np.abs(away) < choice.unsure)) == set(asked)


def test_with_equal_costs_the_boundary_changes_nothing(held: Part) -> None:
    logits, pace = drawn(held, 1.5, 2.5), Pace(0.001, 0.01)
    for wanted in (CASCADE, MEAN):
        plain, even = (
            choose_served(logits, held, wanted, pace, centre=centre)
            for centre in (0.0, boundary(Costs(3, 3), held.labels))
        )
        np.testing.assert_array_equal(plain.logits, even.logits)
        np.testing.assert_array_equal(plain.scales, even.scales)
        assert (plain.unsure, plain.card) == (even.unsure, even.card)


def test_a_strong_network_that_brings_nothing_makes_no_cascade(held: Part) -> None:
    assert choose_served(drawn(held, 2.0, 0.0), held, "auto", Pace(0.001, 0.01, 500.0)).kind == SMALL


def test_without_a_share_a_cascade_that_was_asked_for_is_the_small_network(held: Part) -> None:
    choice = choose_served(drawn(held, 1.5, 2.5), held, CASCADE, Pace(0.001, 0.01, 5000.0))
    assert (choice.kind, choice.card["asked"]) == (SMALL, CASCADE)


def test_the_card_states_share_speed_and_gain(held: Part) -> None:
    choice = choose_served(drawn(held, 1.5, 2.5), held, CASCADE, Pace(0.001, 0.01))
    told = " ".join(choice_lines({"choice": choice.card}))
    for part in ("strong one 10.0 % of them", "500 images/s", "fast network alone: +", "the mean of both"):
        assert part in told, told
