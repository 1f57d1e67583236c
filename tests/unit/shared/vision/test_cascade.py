"""A cascade: the fast network judges every image, and the strong one those of which it is unsure."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.vision.net import Shape, build, small_of
from training.output.export import onnx_bytes

MEAN = Shape("mean", 32, 32, 1, (8, 16), (1, 1), sizes=((32, 32),), shrink=2)
SCALES = torch.tensor([[0.7, 0.1], [0.2, -0.3]])


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(3)
    net = build(MEAN).eval()
    state = net.state_dict()
    state["scales"] = SCALES
    return state


def images(count: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (count, 1, 1, 1)) * rng.random((count, 32, 32, 1))
    return levels.astype(np.uint8)


def run(shape: Shape, weights: dict[str, Tensor], some: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """All outputs of the graph that serves, which must be those of the network."""
    net = build(shape).eval()
    net.load_state_dict(weights)
    session = onnxruntime.InferenceSession(onnx_bytes(net, shape), providers=["CPUExecutionProvider"])
    served = tuple(session.run(None, {"images": some}))
    with torch.inference_mode():
        eager = net(torch.from_numpy(some))
    for one, other in zip(served, eager, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-3)
    return served


def test_the_strong_network_judges_the_unsure_images_and_no_others(weights: dict[str, Tensor]) -> None:
    some = images(24)
    mean = run(MEAN, weights, some)[0]
    inside = {
        name.removeprefix("small."): value for name, value in weights.items() if name.startswith("small.")
    }
    halved = some.reshape(24, 16, 2, 16, 2, 1).mean((2, 4))
    small = build(small_of(MEAN)).eval()
    small.load_state_dict(inside)
    with torch.inference_mode():
        odds = 2 * (0.7 * small(torch.from_numpy(halved))[0].numpy() + 0.1)
    bound = float(np.median(np.abs(odds)))
    logit, feature, activation, strong = run(replace(MEAN, unsure=bound), weights, some)
    unsure = np.abs(odds) < bound
    assert 0 < unsure.sum() < len(some)
    np.testing.assert_array_equal(strong, unsure)
    np.testing.assert_allclose(logit[unsure], mean[unsure], atol=1e-3)
    np.testing.assert_allclose(logit[~unsure], odds[~unsure], atol=1e-3)
    assert len(feature) == len(activation) == len(some)


def test_without_an_unsure_image_the_strong_network_judges_none(weights: dict[str, Tensor]) -> None:
    for count in (0, 1, 5):
        logit, _, _, strong = run(replace(MEAN, unsure=1e-9), weights, images(count))
        assert len(logit) == len(strong) == count
        assert not strong.any()
