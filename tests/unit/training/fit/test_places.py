"""A head over places sees a flaw of few places, and is kept where it is surely better than pooled features."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from shared.registry.artifact import Preprocessing
from shared.vision.lite0 import FEATURES, PLACE_DEPTH, FeatureNet
from shared.vision.net import Shape, build
from training.data.records import Record
from training.fit.part import Part
from training.output.export import onnx_bytes
from training.served import mean_shape
from training.teacher.features import Extractor
from training.teacher.logistic import Linear
from training.teacher.places import EPOCHS, WIDTH, Seen, epochs_within, fit_head
from training.teacher.teach import Teacher, feature_net, fit_folds, head_epochs


def seen(count: int, *, flaw: float, pooled: float, seed: int = 0) -> tuple[Seen, Part]:
    """Noise in 4 x 4 places; a defect has a flaw of this size in one of them, and pooled features tell so much."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    places = rng.normal(0, 1, (count, PLACE_DEPTH, 4, 4)).astype(np.float16)
    masks = np.zeros((count, 16, 16, 1), np.uint8)
    for place in np.flatnonzero(labels):
        row, column = rng.integers(4, size=2)
        places[place, :40, row, column] += flaw
        masks[place, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    whole = rng.normal(0, 1, (count, 40)).astype(np.float32)
    whole[:, :4] += pooled * labels[:, None]
    return Seen(whole, places), Part(np.zeros((count, 1, 1, 1), np.uint8), labels, np.arange(count), masks)


def records(count: int) -> list[Record]:
    return [Record(Path(f"{place}.png"), place % 2, str(place)) for place in range(count)]


def right(logits: NDArray[np.float32], part: Part) -> float:
    return float(((logits > 0) == (part.labels == 1)).mean())


@pytest.mark.parametrize("masked", [False, True])
def test_a_flaw_of_one_place_is_found_on_images_that_were_not_learned(masked: bool) -> None:
    (learned, part), (other, judged) = (seen(120, flaw=3.0, pooled=0.0, seed=s) for s in (0, 1))
    assert learned.places is not None and other.places is not None
    head = fit_head(learned.places, part.labels, np.ones(120), 50, part.masks if masked else None)
    assert right(head.logits(other.places), judged) > 0.9


@pytest.mark.parametrize(("flaw", "pooled", "kept"), [(3.0, 0.3, True), (0.0, 1.5, False)])
def test_the_head_is_kept_where_both_together_are_surely_better(
    flaw: float, pooled: float, kept: bool
) -> None:
    given, part = seen(100, flaw=flaw, pooled=pooled)
    fitted = fit_folds(given, records(100), part, epochs=50)
    assert (fitted.model.head is not None) is kept
    assert right(fitted.held_out, part) > 0.8
    assert fit_folds(given, records(100), part).model.head is None


def test_the_served_graph_gives_the_logits_of_the_teacher() -> None:
    extractor = Extractor(Preprocessing(64, 64, 1), ((64, 64),), threads=1)
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 1)).astype(np.uint8)
    pooled, places = extractor.run(images)
    assert places.shape == (5, PLACE_DEPTH, 4, 4)
    head = fit_head(places, np.array([0, 1, 0, 1, 0]), np.ones(5), 3)
    rng = np.random.default_rng(1)
    teacher = Teacher(Linear(rng.normal(0, 0.01, FEATURES).astype(np.float32), 0.3, 1.0), head)
    net = feature_net(extractor, teacher)
    shape = Shape("features", 64, 64, 1, sizes=((64, 64),), places=WIDTH)
    session = onnxruntime.InferenceSession(onnx_bytes(net, shape), providers=["CPUExecutionProvider"])
    wanted = teacher.logits(Seen(pooled, places))
    np.testing.assert_allclose(session.run(["logit"], {"images": images})[0], wanted, atol=2e-2)
    again = build(shape)
    again.load_state_dict(net.state_dict())
    assert isinstance(again, FeatureNet)


def test_a_mean_holds_the_head_too() -> None:
    small = Shape("residual", 32, 32, 1, (8, 16), (1, 1))
    spec = Preprocessing(64, 64, 1)
    shape = mean_shape(small, Preprocessing(32, 32, 1), spec, ((64, 64),), WIDTH)
    assert {"features.look.weight", "features.point.weight"} <= build(shape).state_dict().keys()
    with torch.inference_mode():
        assert len(build(shape).eval()(torch.zeros(2, 64, 64, 1, dtype=torch.uint8))[0]) == 2


def test_time_and_memory_bound_the_head() -> None:
    assert epochs_within(1e6, 1000, 400, 6) == EPOCHS
    assert epochs_within(1e6, 40, 400, 6) == 120  # few images need many epochs for as many steps
    assert epochs_within(1.0, 1000, 400, 6) == 0
    extractor = Extractor(Preprocessing(64, 64, 1), ((64, 64),), threads=1)
    assert head_epochs(extractor, 1000, 1e6) == EPOCHS
    assert head_epochs(extractor, 1_000_000, 1e9) == 0
