"""A faster artifact: it is calibrated as the one before was, and its card withholds the same figures."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Artifact, Promise
from shared.vision.decision import decide
from shared.vision.graph import Graph
from shared.vision.net import Shape, build, load
from tests.harness.artifacts import open_guard
from tests.unit.training.shipped import drawn_parts, with_card, withholding
from training import hastening
from training.data.decoded import labels_of
from training.data.pixels import decode_files
from training.data.records import DataError, Record
from training.fit.start import going_on
from training.fit.train import predict
from training.hastening import hasten
from training.output.known_logits import self_test_of
from training.proof.calibrate import at_prevalence, fit_calibration, moved, scores
from training.proof.evaluate import logits_of

Parts = tuple[list[Record], ...]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Guard, reference, kinds and speed take long, and tell nothing here."""
    found = drawn_parts(tmp_path / "images")
    monkeypatch.setattr(hastening, "parts_of", lambda *_, **__: found)
    monkeypatch.setattr(
        hastening,
        "guard_for",
        lambda graph, artifact, *_, **__: SimpleNamespace(
            guard=open_guard(artifact.preprocessing, features=1),
            self_test=self_test_of(graph, artifact.preprocessing),
            card={"flagged_of_validation": 0.0, "flagged_of_test": 0.0},
        ),
    )
    monkeypatch.setattr(hastening, "reference_for", lambda *_: None)
    monkeypatch.setattr(hastening, "kinds_for", lambda *_: None)
    monkeypatch.setattr(hastening, "speed_of", lambda *_: 1000.0)
    return found


def hastened(path: Path, tmp_path: Path) -> Artifact:
    return hasten(path, tmp_path, tmp_path / "after", say=lambda line: None)


def logits(artifact: Artifact, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return logits_of(Graph(artifact, threads=1), images)


def decoded(artifact: Artifact, part: list[Record]) -> NDArray[np.uint8]:
    return decode_files([record.path for record in part], artifact.preprocessing, threads=1)


def test_the_stated_share_of_defects_and_the_withheld_figures_stay(tmp_path: Path, parts: Parts) -> None:
    made = hastened(with_card(tmp_path, **withholding(0.02)).path, tmp_path)
    centre = made.card["scored_again"]["centre"]
    fitted = fit_calibration(logits(made, decoded(made, parts[1])) + np.float32(centre), *labels_of(parts[1]))
    wanted = at_prevalence(moved(fitted, centre), labels_of(parts[1])[0], 0.02)
    assert made.calibration.offset == pytest.approx(wanted.offset, abs=1e-3)
    assert made.card["prevalence"] == 0.02
    for part in ("validation", "test"):
        withheld = [name for name, value in withholding(0.02)[part].items() if value is None]
        assert [made.card[part][name] for name in withheld] == [None] * 5
        assert made.card[part]["pictures"] == 90
    assert made.card["before_calibration"] == {"ece": None, "log_loss": None}
    assert made.card["metrics"]["ece"] is None
    assert made.card["test"]["kinds"]["crack"]["images"] == 30


def test_a_card_that_tells_its_share_of_defects_in_words_alone_is_refused(
    tmp_path: Path, parts: Parts
) -> None:
    with pytest.raises(DataError, match="prevalence"):
        hastened(with_card(tmp_path, **withholding(None)).path, tmp_path)


def test_an_artifact_with_a_promise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="promises"):
        hastened(with_card(tmp_path, promise=Promise(0.01, 0.95)).path, tmp_path)


@pytest.mark.parametrize("point", [None, OperatingPoint(0.3, 0.3, 0.3)])
def test_no_verdict_is_another_than_that_of_the_full_average(
    tmp_path: Path, parts: Parts, point: OperatingPoint | None
) -> None:
    before = with_card(tmp_path, point=point)
    made = hastened(before.path, tmp_path)
    images, again = decoded(made, parts[1]), made.card["scored_again"]
    shape, state = Shape.from_card(before.card["network"]), load(before.weights(), before.card).state_dict()
    found = []
    for plan in (replace(shape, mirrors=1), replace(shape, unsure=0.0)):
        net = build(plan)
        net.load_state_dict(state)
        found.append(predict(net, images))
    once, average = found
    sure = np.abs(once - again["centre"]) >= again["unsure"]
    assert 0 < sure.sum() < len(sure)
    served = logits(made, images) + again["centre"]
    np.testing.assert_allclose(served, np.where(sure, once, average), atol=1e-3)
    verdicts, wanted = (
        [decide(float(p), before.operating_point) for p in scores(each, before.calibration)]
        for each in (served, average)
    )
    assert verdicts == wanted
    assert len(set(verdicts)) > 1


def test_an_artifact_made_faster_twice_goes_on_from_the_weights_of_the_first_training(
    tmp_path: Path, parts: Parts
) -> None:
    before = with_card(tmp_path)
    made = hastened(before.path, tmp_path)
    again = hasten(made.path, tmp_path, tmp_path / "again", say=lambda line: None)
    state = load(before.weights(), before.card).state_dict()
    shape = Shape.from_card(before.card["network"])
    for each in (made, again):
        assert load(each.weights(), each.card).state_dict()["head.bias"] != state["head.bias"]
        torch.testing.assert_close(going_on(each.path, shape).weights["head.bias"], state["head.bias"])
