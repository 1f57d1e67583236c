"""The bound of a promise, held against another implementation; `make quality` installs it."""

import numpy as np
import pytest

from training.proof.bounds import misses_allowed
from training.proof.mapie import bound_by_mapie
from training.proof.operating_point import Costs, choose, promised
from training.proof.resplits import resplit

pytest.importorskip("mapie")


def test_mapie_allows_the_same_misses_or_by_its_rounding_one_less() -> None:
    rng = np.random.default_rng(0)
    same = 0
    for _ in range(60):
        parts, rate = int(rng.integers(20, 500)), float(rng.choice([0.01, 0.02, 0.05, 0.1]))
        lowest = rng.beta(4, 2, parts)
        allowed, theirs = misses_allowed(parts, rate, 0.95), bound_by_mapie(lowest, rate, 0.95)
        if allowed is None or theirs is None:
            assert allowed is None
            assert theirs is None
            continue
        missed = int((lowest < theirs).sum())
        assert missed in (allowed - 1, allowed)
        same += missed == allowed
    assert same >= 30


def test_the_review_band_of_a_promise_begins_at_mapies_bound() -> None:
    p = np.random.default_rng(1).beta(4, 2, 473)
    costs = Costs(max_escape_rate=0.01)
    point = choose(p, np.ones(473, np.int64), costs, promised(p, np.arange(473), costs))
    assert point.review_low == pytest.approx(bound_by_mapie(p, 0.01, 0.95))


def test_resplits_say_how_often_both_bounds_agree() -> None:
    p = np.random.default_rng(2).beta(5, 1, 420)
    seen = resplit(p, np.repeat([1, 0], [400, 20]), np.arange(420), 0.02)
    assert seen.confirmed is not None
    assert seen.confirmed >= 0.9
