"""The threshold that good parts set refuses about as many new good parts as the card says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.fit.part import Part
from training.proof.good_point import exceeded, good_point, in_words, tail
from training.proof.student import student


@pytest.mark.parametrize(
    ("share", "freedom", "known"),
    [(0.01, 1, 31.8205), (0.01, 2, 6.9646), (0.05, 4, 2.1318), (0.01, 19, 2.5395), (0.05, 199, 1.6525)],
)
def test_the_quantiles_of_student_are_those_of_the_tables(share: float, freedom: int, known: float) -> None:
    assert student(share, freedom) == pytest.approx(known, rel=1e-4)


@pytest.mark.parametrize("images", [1, 3, 20])
@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("groups", "draws"), [(2, 300), (5, 200), (20, 60), (200, 10)])
def test_the_images_of_new_good_parts_are_refused_about_as_often_as_the_card_says(
    groups: int, draws: int, apart: float, images: int
) -> None:
    assert refused(groups, draws, apart, images, skewed=False) <= 0.02
    assert refused(groups, draws, apart, images, skewed=True) <= max(0.02, 1 / (groups + 1))


def refused(groups: int, draws: int, apart: float, images: int, *, skewed: bool) -> float:
    """The share of images of new parts above the bound that `groups` parts set, the mean of `draws`; parts lie `apart`
    times as far from each other as the images of one part do."""
    rng = np.random.default_rng(8)

    def drawn(count: int) -> NDArray[np.float64]:
        sizes = (count, 1), (count, images)
        parts, own = (rng.gamma(2, 1, size) if skewed else rng.normal(0, 1, size) for size in sizes)
        return np.asarray(apart * parts + own).ravel()

    new, of = np.sort(drawn(5000)), np.repeat(np.arange(groups), images)
    bounds = [exceeded(drawn(groups), of, 0.01) for _ in range(draws)]
    return 1 - float(np.searchsorted(new, bounds).mean()) / len(new)


def test_ten_single_images_no_longer_set_a_threshold_that_refuses_a_quarter() -> None:
    rng = np.random.default_rng(9)
    pairs, new = rng.normal(0, 1, (500, 2)), np.sort(rng.normal(0, 1, 20_000))
    bounds = [(tail(pair, 0.01), exceeded(pair, np.arange(2), 0.01)) for pair in pairs]
    by_tail, by_groups = 1 - np.searchsorted(new, bounds).mean(0) / len(new)
    assert by_groups < 0.02 < 0.2 < by_tail


def test_images_of_one_group_are_one_piece_of_news() -> None:
    scores = np.random.default_rng(10).normal(0, 1, 60) + np.repeat([0.0, 1.0, 2.0], 20)
    assert exceeded(scores, np.repeat(np.arange(3), 20), 0.01) > 1.5 * exceeded(scores, np.arange(60), 0.01)


def part(good: int, defects: int) -> Part:
    count = good + defects
    return Part(np.zeros((count, 1, 1, 1), np.uint8), np.repeat([0, 1], [good, defects]), np.arange(count))


def test_the_card_says_which_rate_so_few_groups_support() -> None:
    assert "set by 2 groups of good images, which support no rate below 33%" in in_words(part(2, 0))
    assert "support" not in in_words(part(200, 0))
    assert "5% shall be so" in in_words(part(200, 0))
    assert "5% (up to 20% where known defects lie lower) shall be so" in in_words(part(200, 1))


def test_scores_that_are_all_equal_and_defects_that_lie_far_below_give_a_point() -> None:
    labels, groups = np.repeat([0, 1], [6, 1]), np.arange(7)
    logits = np.zeros(7, np.float32)
    assert good_point(logits, labels, groups)[1].review_low == 0.5
    logits[:] = -2000
    assert good_point(logits, labels, groups)[1].review_low < 1e-300
