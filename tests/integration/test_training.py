"""From a folder to an artifact with the real trainer, in seconds: a bright blob on noise is the flaw."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import read_artifact
from shared.vision.decision import calibrated_score, decide
from shared.vision.drift import SCORE, UNFAMILIARITY, read_reference
from shared.vision.guard import read_guard
from shared.vision.net import Shape, build
from shared.vision.preprocess import decode
from training.guarding import rewritten
from training.program import main
from training.synthetic.render import render
from worker.inference.engines.gpu import TorchEngine
from worker.inference.engines.load import load_engine
from worker.inference.loaded import LoadedModel

pytestmark = pytest.mark.timeout(600)  # a training on a busy machine is slow, not stuck


def draw_set(folder: Path, count: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for place in range(count):
        pixels = rng.normal(110, 12, (24, 24))
        label = "defect" if place % 2 else "no_defect"
        if place % 2:
            top, left = rng.integers(3, 18, 2)
            pixels[top : top + 4, left : left + 4] += 90
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / label / f"{place:04d}.png")
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("training")
    draw_set(base / "blobs", 240)
    arguments = ["train", str(base / "blobs"), "--output", str(base / "runs" / "blobs"), "--budget", "0.15"]
    with (base / "said.txt").open("w") as said, contextlib.redirect_stdout(said):
        assert main([*arguments, "--threads", "1", "--speed", "8"]) == 0
    return base / "runs" / "blobs"


def test_the_run_folder_holds_everything(run_folder: Path) -> None:
    names = {path.name for path in run_folder.iterdir()}
    assert names >= {
        "best_model.pt",
        "blobs.gonogo",
        "card.json",
        "CARD.md",
        "training_curves.png",
        "confusion.png",
        "precision_recall.png",
        "reliability.png",
        "worst_mistakes.png",
        "split.json",
    }


def test_few_images_carry_no_calibration_error_and_no_figure_of_it_is_told(run_folder: Path) -> None:
    assert json.loads((run_folder / "card.json").read_text())["test"]["ece"] is None
    said = (run_folder.parents[1] / "said.txt").read_text()
    assert "AUROC" in said and "ECE" not in said
    assert "nan" not in said.split() + (run_folder / "CARD.md").read_text().split()


def test_another_operating_point_is_replaced_by_that_of_the_usual_costs(
    run_folder: Path, tmp_path: Path
) -> None:
    trained = read_artifact(run_folder / "blobs.gonogo")
    wrong = OperatingPoint(0.5, 0.2, 0.8)
    card = trained.card | {"costs": "equal", "operating_point": asdict(wrong)}
    other = rewritten(trained, tmp_path / "other", card, operating_point=wrong)
    folder = run_folder.parent.parent / "blobs"
    assert main(["guard", "--point", str(other.path), str(folder), "--output", str(tmp_path / "again")]) == 0
    again = read_artifact(tmp_path / "again" / "blobs.gonogo")
    assert again.operating_point == trained.operating_point != wrong
    for name in ("operating_point", "costs", "validation", "test", "metrics", "guard", "reference"):
        assert again.card[name] == trained.card[name], name
    assert again.onnx() == trained.onnx()
    assert again.guard() == trained.guard()


def test_it_learned_what_a_blob_is(run_folder: Path) -> None:
    card = json.loads((run_folder / "card.json").read_text())
    assert card["test"]["accuracy"]["value"] >= 0.9
    assert card["test"]["auroc"] >= 0.95
    reference = read_reference(card)
    assert reference is not None
    seen = sum(reference.good[SCORE]) + sum(reference.defect[UNFAMILIARITY])
    assert seen == card["data"]["validation"] + card["data"]["test"]


def test_best_model_loads_with_weights_only(run_folder: Path) -> None:
    card = json.loads((run_folder / "card.json").read_text())
    state = torch.load(run_folder / "best_model.pt", weights_only=True)
    build(Shape.from_card(card["network"])).load_state_dict(state)


def test_no_image_is_on_two_sides_and_the_hash_names_the_test_part(run_folder: Path) -> None:
    split = json.loads((run_folder / "split.json").read_text())
    parts = [set(split[name]) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 240
    assert split["test_sha256"] == json.loads((run_folder / "card.json").read_text())["data"]["test_sha256"]


def test_evaluate_says_what_the_worker_says_image_by_image(run_folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.csv"
    folder = run_folder.parents[1] / "blobs"
    assert main(["evaluate", str(run_folder / "blobs.gonogo"), str(folder), "--output", str(results)]) == 0
    artifact = read_artifact(run_folder / "blobs.gonogo")
    stored = artifact.guard()
    assert stored is not None
    guard = read_guard(stored, artifact.preprocessing)
    model = LoadedModel(artifact, load_engine(artifact, device="cpu", threads=1), guard)
    with results.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 240
    for start in range(0, 240, 7):  # micro-batches of another size than evaluate's
        chosen = rows[start : start + 7]
        images = np.stack(
            [decode((folder / row["file"]).read_bytes(), artifact.preprocessing) for row in chosen]
        )
        for row, prediction in zip(chosen, model.predict(images), strict=True):
            score = calibrated_score(prediction.logit, artifact.calibration)
            assert abs(score - float(row["score"])) < 1e-6
            assert prediction.unfamiliarity == pytest.approx(float(row["unfamiliarity"]), abs=1e-3)
            assert decide(score, artifact.operating_point, prediction.unlike) == row["verdict"]


def test_the_card_repeats_what_evaluate_finds_on_the_test_part(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder.parents[1] / "blobs"
    artifact = run_folder / "blobs.gonogo"
    assert main(["evaluate", str(artifact), str(folder), "--only-test", str(run_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    card = json.loads((run_folder / "card.json").read_text())
    for name in ("pictures", "escapes", "false_rejects"):
        assert found[name] == card["test"][name]
    # The card counts the review band alone.
    assert 0 <= found["reviewed"] - card["test"]["reviewed"] <= found["unfamiliar"]
    assert found["unfamiliar"] == round(card["guard"]["flagged_of_test"] * card["test"]["pictures"])


def test_both_engines_agree_on_a_trained_model(run_folder: Path) -> None:
    artifact = read_artifact(run_folder / "blobs.gonogo")
    spec = artifact.preprocessing
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (64, spec.height, spec.width, spec.channels)).astype(np.uint8)
    cpu = load_engine(artifact, device="cpu", threads=1).predict(images)
    torch_cpu = TorchEngine(artifact, device="cpu", threads=1).predict(images)
    np.testing.assert_allclose(cpu, torch_cpu, atol=1e-3)
    for a, b in zip(cpu, torch_cpu, strict=True):
        scores = [calibrated_score(float(value), artifact.calibration) for value in (a, b)]
        assert abs(scores[0] - scores[1]) < 1e-4


def test_a_broken_image_fails_alone(run_folder: Path, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 8)
    (folder / "defect" / "0001.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    results = tmp_path / "results.csv"
    assert main(["evaluate", str(run_folder / "blobs.gonogo"), str(folder), "--output", str(results)]) == 0
    with results.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["error"] for row in rows if row["error"]] == ["corrupt_image"]
    assert sum(bool(row["verdict"]) for row in rows) == 7


def test_a_folder_of_one_label_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_set(tmp_path / "set", 8)
    for path in (tmp_path / "set" / "no_defect").iterdir():
        path.unlink()
    assert main(["train", str(tmp_path / "set"), "--output", str(tmp_path / "run")]) == 1
    assert "one label only" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_ctrl_c_keeps_the_best_epoch_so_far(tmp_path: Path) -> None:
    draw_set(tmp_path / "blobs", 120)
    command = [sys.executable, "-m", "training", "train", str(tmp_path / "blobs"), "--budget", "20"]
    command += ["--output", str(tmp_path / "run"), "--threads", "1", "--speed", "8"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + 120
        for line in process.stdout:
            if line.startswith("epoch   2"):
                process.send_signal(signal.SIGINT)
                break
            assert time.monotonic() < deadline
        rest = process.communicate(timeout=120)[0]
    finally:
        process.kill()
    assert process.returncode == 0, rest
    card = read_artifact(tmp_path / "run" / "blobs.gonogo").card
    assert card["training"]["stop_reason"].startswith("interrupted")


@pytest.mark.slow
def test_the_original_preset_trains_the_original_network(tmp_path: Path) -> None:
    draw_set(tmp_path / "blobs", 40)
    arguments = ["train", str(tmp_path / "blobs"), "--output", str(tmp_path / "run"), "--preset", "original"]
    assert main([*arguments, "--threads", "1"]) == 0
    card = read_artifact(tmp_path / "run" / "blobs.gonogo").card
    assert card["weights"] == 25_709_761
    assert card["training"]["stop_reason"] in ("planned epochs done", "no better validation loss in 2 epochs")
    assert card["training"]["budget_minutes"] == 24 * 60
    assert (card["training"]["plan"]["batch"], card["training"]["plan"]["patience"]) == (128, 2)
    assert card["data"]["split"].startswith("random 70/15/15")


@pytest.mark.slow
def test_the_original_preset_trains_on_a_set_that_has_masks(tmp_path: Path) -> None:
    render(tmp_path / "parts", count=16, seed=3, size=64, defect_share=0.5, masks=True)
    arguments = ["train", str(tmp_path / "parts"), "--output", str(tmp_path / "run"), "--preset", "original"]
    assert main([*arguments, "--budget", "0.05", "--threads", "1"]) == 0
    assert read_artifact(tmp_path / "run" / "parts.gonogo").card["weights"] == 25_709_761
