"""The artifacts that come with the product: whole, small, and the same to both engines."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import shared
from shared.registry.artifact import Artifact, Preprocessing, read_artifact
from shared.vision.decision import calibrated_score
from shared.vision.net import load
from training.output.card import readable
from training.synthetic.draw import draw
from worker.inference.engines.gpu import TorchEngine
from worker.inference.engines.load import load_engine

PUBLISHED = sorted((Path(shared.__file__).parent / "registry" / "published").iterdir())


@pytest.fixture(scope="module", params=PUBLISHED, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def artifact(folder: Path) -> Artifact:
    return read_artifact(folder / f"{folder.name}.gonogo")


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    rng = np.random.default_rng(99)
    return [Image.fromarray(draw(rng, 96).image) for _ in range(500)]


def fitted(drawn: list[Image.Image], spec: Preprocessing) -> NDArray[np.uint8]:
    pixels = [np.asarray(picture.resize((spec.width, spec.height))) for picture in drawn]
    return np.repeat(np.stack(pixels)[..., None], spec.channels, 3)


def test_it_is_small_and_carries_card_and_curves(folder: Path, artifact: Artifact) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
    assert artifact.curves() == (folder / "training_curves.png").read_bytes()
    assert json.loads((folder / "card.json").read_text()) == artifact.card
    assert (folder / "CARD.md").read_text() == readable(artifact.card)


def test_best_model_holds_the_weights_of_the_artifact(folder: Path, artifact: Artifact) -> None:
    state = torch.load(folder / "best_model.pt", weights_only=True)
    for name, value in load(artifact.weights(), artifact.card).state_dict().items():
        assert torch.equal(value, state[name])


def test_both_engines_give_500_images_the_same_scores(artifact: Artifact, drawn: list[Image.Image]) -> None:
    images = fitted(drawn, artifact.preprocessing)
    engines = load_engine(artifact, device="cpu", threads=1), TorchEngine(artifact, device="cpu", threads=1)
    onnx, eager = (
        [calibrated_score(float(x), artifact.calibration) for x in engine.predict(images)]
        for engine in engines
    )
    assert np.abs(np.subtract(onnx, eager)).max() < 1e-4
    assert np.ptp(onnx) > 0.1


def test_the_card_says_what_brightness_and_place_alone_would_tell(artifact: Artifact) -> None:
    assert {"histogram", "pixels_16x16"} <= artifact.card["baselines"].keys()
