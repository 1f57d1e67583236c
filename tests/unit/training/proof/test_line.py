"""Figures of a card for a line with another share of defects than the labelled images have."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import read_artifact
from shared.registry.versions import shipped
from training.data.records import Record
from training.data.report import Report
from training.data.splits import Split
from training.output.card import readable
from training.output.withheld import known
from training.proof.doubts import likely_label_errors, risk_coverage
from training.proof.line import as_labelled, shares
from training.proof.metrics import report
from training.proof.operating_point import Costs
from training.proof.robustness import robustness
from training.trained import Trained

Floats = NDArray[np.float64]
POINT = OperatingPoint(0.3, 0.2, 0.4)


def judged(defects: int, good: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Scores and labels: most defects score high, and most good ones low."""
    labels = np.repeat([1, 0], [defects, good])
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-rng.normal(3.0 * labels - 2.5, 1.2))), labels


def line_of(p: Floats, labels: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """The same scores on a line with one defect to 24 good ones, from as many of each."""
    times = np.where(labels == 1, 1, 24)
    return p.repeat(times), labels.repeat(times)


def test_accuracies_and_shares_are_those_of_the_line() -> None:
    p, labels = judged(60, 60)
    stated = report(p, labels, np.arange(120), POINT, prevalence=0.04)
    on_line = report(*line_of(p, labels), np.arange(60 * 25), POINT)
    for name in ("accuracy", "accuracy_by_groups", "accuracy_at_half"):
        assert getattr(stated, name).value == pytest.approx(getattr(on_line, name).value)
    assert stated.average_precision == pytest.approx(on_line.average_precision, abs=0.02)
    assert (stated.escape_rate.value, stated.auroc) == pytest.approx(
        (on_line.escape_rate.value, on_line.auroc)
    )
    assert (stated.pictures, stated.prevalence) == (120, 0.04)
    [whole, *_] = risk_coverage(p, labels, POINT, 0.04)
    assert whole["error"] == pytest.approx(1 - stated.accuracy.value, abs=1e-5)
    half = risk_coverage(p, labels, POINT, 0.04)[-1]
    assert half["error"] == pytest.approx(risk_coverage(*line_of(p, labels), POINT)[-1]["error"], abs=0.01)


def test_the_interval_holds_the_accuracy_on_the_line() -> None:
    every, kind = judged(40_000, 40_000, 1)
    right = (every >= POINT.threshold) == (kind == 1)
    truth, held, draws = 0.02 * right[kind == 1].mean() + 0.98 * right[kind == 0].mean(), 0, 200
    for seed in range(draws):
        p, labels = judged(150, 60, seed + 2)
        found = report(p, labels, np.arange(210), POINT, prevalence=0.02).accuracy
        held += found.low <= truth <= found.high
    assert held >= 0.93 * draws, held


def test_no_error_among_few_good_parts_proves_little_of_a_line_of_good_ones() -> None:
    labels = np.repeat([1, 0], [400, 12])
    groups = np.concatenate([np.arange(400), np.repeat([400, 401, 402], 4)])
    found = report(labels.astype(float), labels, groups, POINT, prevalence=0.01)
    assert found.accuracy.value == found.accuracy_by_groups.value == 1
    assert 0.7 < found.accuracy.low < 0.8
    assert found.accuracy_by_groups.low < 0.5


def test_labels_of_a_part_that_err_together_widen_the_interval() -> None:
    p, labels = judged(40, 40)
    alone, shared = (
        report(p, labels, groups, POINT, prevalence=0.5).accuracy_by_groups
        for groups in (np.arange(80), np.tile(np.arange(40), 2))
    )
    assert shared.value == alone.value
    assert shared.high - shared.low > 1.2 * (alone.high - alone.low)


@pytest.mark.parametrize("prevalence", [None, 0.01])
def test_one_label_alone_tells_no_accuracy(prevalence: float | None) -> None:
    records = [Record(Path(f"{place}.png"), 0, str(place)) for place in range(9)]
    trained = SimpleNamespace(
        looked=Report("set", records=records, has_groups=True),
        split=Split(records[:3], records[3:6], records[6:]),
        options=SimpleNamespace(costs=Costs(prevalence=prevalence)),
        shape=SimpleNamespace(kind="residual"),
    )
    figures = report(np.zeros(3), np.zeros(3, np.int64), np.arange(3), POINT, prevalence=prevalence).as_card()
    stated = known(figures, cast("Trained", trained), "test")
    assert stated["accuracy"] is stated["accuracy_at_half"] is stated["average_precision"] is None
    assert stated["false_reject_rate"]["value"] == 0
    assert figures["accuracy"]["value"] == 1


def test_labels_are_doubted_by_the_share_of_defects_that_the_images_have() -> None:
    p, labels = np.linspace(0.3, 0.9, 21), np.arange(21) % 2
    weights = shares(labels, 0.01)
    rare = p * weights[1] / (p * weights[1] + (1 - p) * weights[0])
    assert as_labelled(rare, labels, 0.01) == pytest.approx(p)
    names = [str(place) for place in range(21)]
    doubted = [row["file"] for row in likely_label_errors(names, p, labels)]
    assert doubted == [row["file"] for row in likely_label_errors(names, rare, labels, 0.01)]
    assert doubted != [row["file"] for row in likely_label_errors(names, rare, labels)]


def test_other_conditions_are_those_of_the_line() -> None:
    labels = np.arange(40) % 2
    images = np.zeros((40, 16, 16, 1), np.uint8)
    found = robustness(images, labels, lambda changed: np.ones(len(changed)), POINT, prevalence=0.1)
    assert found["as it is"]["accuracy"] == 0.1
    assert found["as it is"]["false_rejects"] == 20


def test_the_card_names_the_line_and_states_no_error_of_scores() -> None:
    card = read_artifact(shipped()[0]).card
    p, labels = judged(50, 50)
    figures = report(p, labels, np.arange(100), POINT, prevalence=0.02).as_card()
    figures |= dict.fromkeys(("ece", "ece_low", "ece_high", "log_loss"))
    card |= {"validation": figures, "test": figures, "operating_point": asdict(POINT)}
    text = readable(card | {"prevalence": 0.02, "before_calibration": {"ece": None, "log_loss": None}})
    assert "accuracy at the threshold on a line with 2.00 % defects" in text
    assert "would be right for 98.00 % of the line" in text
    assert "Before calibration" not in text
    assert "none (" not in text
