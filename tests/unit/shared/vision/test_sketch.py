"""Descriptions 3 and 4 of an image, which go with a network's trace."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.vision.describe import CONTRAST
from shared.vision.net import Shape, build
from shared.vision.sketch import sketch
from shared.vision.survey import survey

Describe = Callable[[NDArray[np.uint8]], tuple[NDArray[Any], NDArray[Any]]]
BOTH = pytest.mark.parametrize("described", [sketch, survey])


@BOTH
@pytest.mark.parametrize(
    "shape", [(16, 16, 1), (24, 40, 1), (17, 31, 3), (150, 150, 1), (16, 300, 3), (4, 4, 1)]
)
def test_images_of_any_size_get_finite_numbers(described: Describe, shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.uint8)
    blank = np.zeros((1, *shape), np.uint8)
    for batch in (images, blank, blank + np.uint8(255)):
        statistics, samples = described(batch)
        assert statistics.dtype == samples.dtype == np.float32
        assert len(statistics) == len(samples) == len(batch)
        assert np.isfinite(statistics).all() and np.isfinite(samples).all()


@BOTH
def test_an_image_is_described_alike_whatever_its_micro_batch(described: Describe) -> None:
    images = np.random.default_rng(1).integers(0, 256, (33, 40, 24, 3)).astype(np.uint8)
    together = described(images)
    alone = [described(images[place : place + 1]) for place in range(len(images))]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-3)


@BOTH
def test_contrast_is_told_in_grey_levels(described: Describe) -> None:
    images = np.zeros((2, 32, 32, 1), np.uint8)
    images[1, :, 16:] = 100
    assert np.expm1(described(images)[0][:, CONTRAST]).round() == pytest.approx([0, 100])


@BOTH
def test_a_tint_changes_the_statistics(described: Describe) -> None:
    grey = np.random.default_rng(2).integers(60, 200, (1, 32, 32, 1)).astype(np.uint8).repeat(3, axis=3)
    tinted = grey + np.array([20, 0, 0], np.uint8)
    assert np.abs(described(tinted)[0] - described(grey)[0]).max() > 10


def test_a_survey_counts_no_step_from_the_end_of_a_row_to_the_next() -> None:
    slope = np.arange(0, 240, 10, dtype=np.uint8)[None, None, :, None].repeat(40, axis=1)
    statistics = survey(slope)[0][0]
    across, fine = np.exp(statistics[28:44]), statistics[44:]
    assert across == pytest.approx(10.1, abs=1e-3)  # every step along a row is 10 levels
    bends, root, still = fine[2], fine[1], fine[4]
    assert np.exp(bends) == pytest.approx(0.1 / 10.2, abs=1e-3)
    assert np.exp(root) == pytest.approx(10.1 / 10.2, abs=1e-3)
    assert still == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("mirrors", [1, 2, 4])
def test_a_trace_lengthens_the_feature_and_changes_nothing_else(mirrors: int) -> None:
    torch.manual_seed(0)
    plain = Shape("residual", 32, 24, 1, (8, 16, 32), (1, 2, 1), stem_stride=1, mirrors=mirrors)
    net = build(plain).eval()
    images = torch.randint(0, 256, (3, 32, 24, 1), dtype=torch.uint8)
    for trace, channels in ((1, 8 + 16 + 16), (2, 8 + 8 + 16 + 16)):
        traced = build(replace(plain, trace=trace)).eval()
        traced.load_state_dict(net.state_dict())
        with torch.inference_mode():
            logit, feature, activation = net(images)
            logit_too, longer, activation_too = traced(images)
        assert torch.equal(logit, logit_too) and torch.equal(activation, activation_too)
        assert torch.equal(longer[:, : feature.shape[1]], feature)
        assert longer.shape[1] == feature.shape[1] + 2 * channels


def test_a_card_of_before_describes_a_network_without_a_trace() -> None:
    entry = Shape("residual", 32, 24, 1, (8,), (1,)).as_card()
    del entry["trace"]
    assert not Shape.from_card(entry).trace
