from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from shared.vision.net import Shape, build, multiplications
from training.hastening import least_unsure
from training.output.export import onnx_bytes

Floats = NDArray[np.float32]


def test_every_convolution_counts_the_first_one_included() -> None:
    shape = Shape("residual", 16, 16, 1, widths=(8,), blocks=(0,), stem_stride=2)
    first = 8 * 8 * 8 * (2 * 5 * 5)  # 8 x 8 places, 8 channels, 5 x 5 of the two views
    assert multiplications(shape) == first + 2 * 8


def test_mirrored_copies_are_counted() -> None:
    once, twice = (Shape("residual", 32, 32, 1, (8, 16), (1, 1), mirrors=mirrors) for mirrors in (1, 2))
    assert multiplications(twice) == 2 * multiplications(once)


@pytest.mark.parametrize("mirrors", [2, 4])
def test_only_unsure_images_are_scored_in_mirrored_copies(mirrors: int) -> None:
    torch.manual_seed(0)
    once = Shape("residual", 24, 16, 1, (8, 16), (1, 1), stem_stride=1)
    net = build(once).eval()
    images = np.random.default_rng(0).integers(0, 256, (40, 24, 16, 1)).astype(np.uint8)

    def logits(shape: Shape) -> tuple[Floats, Floats]:
        same = build(shape).eval()
        same.load_state_dict(net.state_dict())
        session = onnxruntime.InferenceSession(onnx_bytes(same, shape), providers=["CPUExecutionProvider"])
        with torch.inference_mode():
            eager = same(torch.from_numpy(images))[0].numpy()
        for some in (images, images[:1], images[:0]):
            served = session.run(["logit"], {"images": some})[0]
            np.testing.assert_allclose(served, eager[: len(some)], atol=1e-4)
        return eager, session.run(["feature"], {"images": images})[0]

    single, feature = logits(once)
    average, _ = logits(replace(once, mirrors=mirrors))
    bound = float(np.median(np.abs(single)))
    cascade, feature_too = logits(replace(once, mirrors=mirrors, unsure=bound))
    unsure = np.abs(single) < bound
    assert 0 < unsure.sum() < len(images)
    np.testing.assert_allclose(cascade[unsure], average[unsure], atol=1e-5)
    np.testing.assert_array_equal(cascade[~unsure], single[~unsure])
    np.testing.assert_allclose(feature_too, feature, atol=1e-5)
    nothing, _ = logits(replace(once, mirrors=mirrors, unsure=1e-9))
    np.testing.assert_array_equal(nothing, single)


def test_the_bound_leaves_one_verdict_in_two_thousand_apart() -> None:
    once = np.linspace(-4, 4, 4000).astype(np.float32)
    whole = once.copy()
    whole[[1000, 1500, 2400, 3000, 3500]] *= -1
    apart = (once > 0) != (whole > 0)
    bound = least_unsure(once, apart)
    assert ((np.abs(once) >= bound) & apart).sum() == 2
    assert least_unsure(once, np.zeros(len(once), bool)) < 0.01
