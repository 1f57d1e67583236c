"""Limits of rates from a stratified audit."""

import math
import random

import pytest

from shared.contract.rates import Stratum, escape_rate, false_reject_rate, lower, upper
from training.proof.audits import audit


def at_most(hits: int, cases: int, share: float) -> float:
    return math.fsum(math.comb(cases, n) * share**n * (1 - share) ** (cases - n) for n in range(hits + 1))


@pytest.mark.parametrize(("hits", "cases"), [(0, 12), (1, 30), (7, 40), (30, 31), (40, 400)])
@pytest.mark.parametrize("error", [0.025, 0.002])
def test_limits_of_a_share_are_exact(hits: int, cases: int, error: float) -> None:
    assert at_most(hits, cases, upper(hits, cases, error)) == pytest.approx(error, rel=1e-6)
    if hits:
        seen = 1 - at_most(hits - 1, cases, lower(hits, cases, error))
        assert seen == pytest.approx(error, rel=1e-6)


def test_a_share_without_cases_may_be_anything() -> None:
    assert (lower(0, 0, 0.025), upper(0, 0, 0.025)) == (0.0, 1.0)
    assert upper(5, 5, 0.025) == 1.0


def test_strata_that_were_reviewed_as_a_whole_are_known() -> None:
    rate = escape_rate(Stratum(100, 100, 2), Stratum(50, 50, 38), Stratum(10, 10, 0))
    assert (rate["value"], rate["low"], rate["high"]) == (0.05, 0.05, 0.05)
    rejects = false_reject_rate(Stratum(100, 100, 2), Stratum(50, 50, 38), Stratum(10, 10, 0))
    assert rejects["value"] == rejects["low"] == pytest.approx(12 / 120)


def test_nothing_is_told_where_nothing_was_reviewed() -> None:
    rate = escape_rate(Stratum(1000, 0, 0), Stratum(10, 0, 0), Stratum(5, 0, 0))
    assert (rate["value"], rate["low"], rate["high"]) == (None, 0.0, 1.0)
    empty = escape_rate(Stratum(0, 0, 0), Stratum(0, 0, 0), Stratum(0, 0, 0))
    assert (empty["value"], empty["low"], empty["high"]) == (None, 0.0, 1.0)


def test_a_larger_sample_narrows_the_limits_and_defects_outside_it_move_them() -> None:
    few = escape_rate(Stratum(10_000, 100, 0), Stratum(500, 25, 24), Stratum(50, 50, 20))
    many = escape_rate(Stratum(10_000, 2000, 0), Stratum(500, 400, 390), Stratum(50, 50, 20))
    assert few["value"] == many["value"] == 0.0
    assert many["high"] < few["high"] / 5


def test_the_limits_hold_the_truth_in_simulated_audits() -> None:
    dice = random.Random(3)
    held = [
        of.rate["low"] <= of.truth <= of.rate["high"]
        for number in range(12)
        for of in audit(number, dice, 0.05, 0.2)
    ]
    assert sum(held) >= 23
