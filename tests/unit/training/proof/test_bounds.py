"""Exact bounds, and promises that hold."""

from pathlib import Path

import numpy as np
import pytest

from training.data.records import DataError, Record
from training.proof.bounds import at_most, cases_needed, lower, misses_allowed, upper
from training.proof.operating_point import Costs, check_promise, choose, promised
from training.proof.resplits import resplit


def test_299_defects_without_a_miss_prove_one_percent_at_95() -> None:
    assert cases_needed(0.01, 0.95) == 299
    assert misses_allowed(298, 0.01, 0.95) is None
    assert misses_allowed(299, 0.01, 0.95) == 0
    assert (misses_allowed(472, 0.01, 0.95), misses_allowed(473, 0.01, 0.95)) == (0, 1)


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    # Tabulated: 2 of 20 at 95 % two-sided gives 1.23 % to 31.70 %.
    assert (lower(2, 20, 0.975), upper(2, 20, 0.975)) == pytest.approx((0.012349, 0.316983), abs=1e-5)
    assert upper(0, 10, 0.95) == pytest.approx(1 - 0.05**0.1)
    assert (upper(5, 5, 0.95), lower(0, 5, 0.95)) == (1.0, 0.0)
    assert at_most(3, 8000, 0.001) == pytest.approx(0.0423, abs=2e-3)


def test_a_promise_fails_no_more_often_than_its_confidence_says() -> None:
    rng = np.random.default_rng(3)
    fails = 0
    for _ in range(400):
        p, costs = rng.beta(4, 2, 59), Costs(max_escape_rate=0.05)
        point = choose(p, np.ones(59, np.int64), costs, promised(p, np.arange(59), costs))
        # The true share of defects below the bound, from a sample that is large against the 5 %.
        fails += float((rng.beta(4, 2, 20_000) < point.review_low).mean()) > 0.05
    assert 0.02 < fails / 400 < 0.08


def test_a_part_with_many_images_counts_once() -> None:
    p, groups = np.full(600, 0.9), np.repeat(np.arange(100), 6)
    with pytest.raises(DataError, match="199 more are needed"):
        promised(p, groups, Costs(max_escape_rate=0.01))
    records = [Record(Path("a"), 1, str(place % 100)) for place in range(600)]
    with pytest.raises(DataError, match=r"needs 299 defective parts .* here are 100"):
        check_promise(records, Costs(max_escape_rate=0.01))
    check_promise(records, Costs())


def test_resplits_keep_the_promise_and_say_where_there_are_too_few_parts() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([1, 0], [1000, 500])
    p = np.where(labels == 1, rng.beta(5, 1, 1500), rng.beta(1, 5, 1500))
    seen = resplit(p, labels, np.arange(1500), 0.02)
    assert seen.fails is not None
    assert seen.fails <= 0.05
    assert resplit(p, labels, np.arange(1500) // 10, 0.01).fails is None
