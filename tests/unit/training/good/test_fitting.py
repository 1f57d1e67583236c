"""The scale of both distances of a patch network."""

import numpy as np
import pytest
import torch

from shared.vision.patches import PatchNet
from training.good import fitting


def test_good_images_without_any_distance_from_the_bank_still_give_a_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting, "distances_of", lambda net, images: np.zeros((len(images), 2)))
    net = PatchNet((32, 32), 4)
    fitting.set_scale(net, np.zeros((3, 8, 8, 1), np.uint8))
    assert torch.isfinite(net.scales).all()
    assert (net.scales[:, 1] > 0).all()
