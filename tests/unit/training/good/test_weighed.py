"""Two networks of one set of good parts: each weighs as much as it tells, and the threshold is that of good images."""

import numpy as np
import pytest
import torch
from torch import nn

from shared.vision.net import ResidualNet, Shape, small_of
from shared.vision.patches import PatchNet
from training.fit.part import Part
from training.fit.train import predict
from training.good.weighed import shape_of, weighed

SMALL = Shape("residual", 24, 24, 1, (8, 8), (1, 1), 1)
SHAPE = shape_of(SMALL, Shape("patches", 24, 24, 1, sizes=((32, 32),), places=4), 1)


class Brightest(nn.Module):
    """Stands for a network that has learned what the flaws are: bright pixels."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.sign * images.float().amax((1, 2, 3)),)


def part(good: int, defects: int) -> Part:
    rng = np.random.default_rng(0)
    images = rng.normal(110, 12, (good + defects, 24, 24, 1)).clip(0, 255).astype(np.uint8)
    images[good:, 4:9, 4:9] = 250
    return Part(images, np.repeat([0, 1], [good, defects]), np.arange(good + defects))


def nets() -> tuple[PatchNet, ResidualNet]:
    torch.manual_seed(0)
    return PatchNet((32, 32), 4).eval(), ResidualNet(small_of(SHAPE)).eval()


def test_the_logit_is_0_where_one_good_image_in_a_hundred_lies_above() -> None:
    held = part(200, 0)
    net, card = weighed(*nets(), SHAPE, held, seed=0)
    assert card["told_by"] == "drawn damage"
    above = (predict(net, held.images) > 0).mean()
    assert above <= 0.04


def test_a_network_that_tells_nothing_weighs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    patches, small = nets()
    monkeypatch.setattr(small, "forward", Brightest(1.0).forward)
    monkeypatch.setattr(patches, "forward", Brightest(-1.0).forward)
    _, card = weighed(patches, small, SHAPE, part(60, 8), seed=0)
    assert card["told_by"] == "defects"
    assert card["candidates"]["small"] == {"auroc": 1.0, "weight": 1.0}
    assert card["candidates"]["patches"] == {"auroc": 0.0, "weight": 0.0}


def test_five_images_of_one_flawed_part_weigh_as_one() -> None:
    held = part(60, 8)
    held.groups[60:] = 60
    _, card = weighed(*nets(), SHAPE, held, seed=0)
    assert card["told_by"] == "drawn damage"


def test_scores_of_good_images_differ_although_two_parts_alone_set_the_threshold() -> None:
    held = part(2, 0)
    net, _ = weighed(*nets(), SHAPE, held, seed=0)
    logits = predict(net, held.images)
    assert -6 < logits.min() < logits.max() < 0
