"""From few parts, and from good parts alone, to an artifact that serves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.registry.artifact import read_artifact
from training.data.records import DataError
from training.guarding import parts_of
from training.program import main
from worker.inference.engines.gpu import TorchEngine
from worker.inference.engines.load import load_engine

pytestmark = pytest.mark.timeout(600)


def draw(folder: Path, good: int, defects: int, side: int = 24, seed: int = 7) -> Path:
    """Noise, with a bright square as the flaw."""
    rng = np.random.default_rng(seed)
    for place in range(good + defects):
        pixels = rng.normal(110, 12, (side, side))
        label = "good" if place < good else "bad"
        if label == "bad":
            top, left = rng.integers(3, side - 8, 2)
            pixels[top : top + 5, left : left + 5] += 110
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / label / f"{place:03}.png")
    return folder


@pytest.mark.slow
def test_few_parts_are_cross_fitted_and_every_image_is_judged(tmp_path: Path) -> None:
    draw(tmp_path / "set", 14, 12)
    arguments = ["train", str(tmp_path / "set"), "--output", str(tmp_path / "run"), "--name", "few"]
    assert main([*arguments, "--budget", "0.1", "--threads", "1", "--speed", "8"]) == 0
    _is_cross_fitted(tmp_path / "run", read_artifact(tmp_path / "run" / "few.gonogo").card)


@pytest.mark.slow
def test_few_parts_are_cross_fitted_beside_a_test_folder_and_learn_from_unlabelled_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.teacher.lessons._LEAST_BUDGET_MIN", 0.0)
    draw(tmp_path / "set", 14, 12)
    draw(tmp_path / "test", 30, 20, seed=8)
    draw(tmp_path / "more", 9, 9, seed=9)
    run = tmp_path / "run"
    arguments = ["train", str(tmp_path / "set"), "--output", str(run), "--name", "few", "--test"]
    arguments += [str(tmp_path / "test"), "--unlabelled", str(tmp_path / "more")]
    assert main([*arguments, "--budget", "0.1", "--threads", "1", "--speed", "8", "--serve", "small"]) == 0
    card = read_artifact(run / "few.gonogo").card
    assert card["data"]["split"].startswith("cross-fitted in 5 folds")
    parts = [card[part] for part in ("validation", "test")]
    assert [(part["pictures"], part["defects"]) for part in parts] == [(26, 12), (50, 20)]
    assert card["training"]["unlabelled"] == 18
    assert card["robustness"] is not None  # the network has seen none of the test part
    assert "no validation part" in card["limits"]
    with pytest.raises(DataError, match="has learned every image outside its test part"):
        parts_of(read_artifact(run / "few.gonogo"), tmp_path / "set", tmp_path / "test")


def test_good_parts_alone_give_a_model_that_serves(tmp_path: Path) -> None:
    draw(tmp_path / "set", 30, 4)
    arguments = ["train", str(tmp_path / "set"), "--output", str(tmp_path / "run"), "--name", "good"]
    assert main([*arguments, "--budget", "0.3", "--threads", "1"]) == 0
    artifact = read_artifact(tmp_path / "run" / "good.gonogo")
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert artifact.card["test"]["defects"] == 2
    assert artifact.card["test"]["auroc"] == 1.0
    # The score orders images and is no probability.
    unstated = ("ece", "log_loss", "accuracy_at_half")
    assert [artifact.card[part][name] for part in ("validation", "test") for name in unstated] == [None] * 6
    assert "threshold 0.5" not in (tmp_path / "run" / "CARD.md").read_text()
    assert len(split["train"]) + len(split["validation"]) + len(split["test"]) == 34
    spec = artifact.preprocessing
    images = np.random.default_rng(1).integers(0, 256, (6, spec.height, spec.width, 1)).astype(np.uint8)
    cpu = load_engine(artifact, device="cpu", threads=1).predict(images)
    np.testing.assert_allclose(
        cpu, TorchEngine(artifact, device="cpu", threads=1).predict(images), rtol=1e-3, atol=1e-2
    )


def test_a_cascade_is_cross_fitted_from_few_parts_served_and_told_in_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.teacher.lessons._LEAST_BUDGET_MIN", 0.0)
    draw(tmp_path / "set", 14, 12)
    arguments = ["train", str(tmp_path / "set"), "--output", str(tmp_path / "run"), "--name", "two"]
    assert main([*arguments, "--budget", "0.1", "--threads", "1", "--speed", "8", "--serve", "cascade"]) == 0
    artifact = read_artifact(tmp_path / "run" / "two.gonogo")
    card = artifact.card
    _is_cross_fitted(tmp_path / "run", card)
    share = card["choice"]["cascade"]["share"]
    assert 0 < share < 1
    assert f"the strong one {100 * share:.1f} %" in (tmp_path / "run" / "CARD.md").read_text()
    spec = artifact.preprocessing
    images = np.random.default_rng(1).integers(0, 256, (6, spec.height, spec.width, 1)).astype(np.uint8)
    cpu = load_engine(artifact, device="cpu", threads=1).explain(images)
    for one, other in zip(cpu, TorchEngine(artifact, device="cpu").explain(images), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-2)
    assert len(cpu) == 4


def _is_cross_fitted(run: Path, card: dict[str, Any]) -> None:
    assert card["data"]["split"].startswith("cross-fitted in 5 folds")
    assert (card["test"]["pictures"], card["test"]["defects"], card["test"]["groups"]) == (26, 12, 26)
    assert card["test"]["accuracy"]["low"] < 0.9  # so few prove no more
    assert card["test"]["accuracy_by_groups"] is None  # no name says which images show one part
    assert card["robustness"] is card["reference"] is None  # the network has seen each of them
    assert card["test"]["ece"] is None
    assert "had not seen the image" in (run / "CARD.md").read_text()  # a part may lie in two folds
    assert any(warning.startswith("nothing tells which images show one part") for warning in card["warnings"])
