"""The calibration of a training: it moves logits that lack a part of the odds, and leaves log odds as they are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.vision.net import Shape
from training.fit.part import Part
from training.options import Options
from training.proof.calibrate import fit_calibration, scores
from training.proof.decided import decided
from training.proof.operating_point import Costs, boundary
from training.trained import Trained

RARE = 0.1
NOTHING: Any = None  # of a training, that its calibration does not look at


def held_out(half: float) -> tuple[np.ndarray, Part]:
    """Logits (400,) that lack the share `half` of the log odds of twenty parts, of which two are defective."""
    rng = np.random.default_rng(0)
    labels = (np.arange(400) < 400 * RARE).astype(np.int64)
    odds = rng.normal(0, 1, 400) + np.where(labels == 1, 0.5, -0.5) + np.log(RARE / (1 - RARE))
    part = Part(np.zeros((400, 1, 1, 1), np.uint8), labels, np.arange(400) // 20)
    return (odds - half * np.log(RARE / (1 - RARE))).astype(np.float32), part


def trained(kind: str, logits: np.ndarray, part: Part, costs: Costs) -> Trained:
    options = Options("m", Path("unused"), costs=costs)
    made = Trained(
        NOTHING, NOTHING, "", options, NOTHING, Shape(kind, 8, 8, 1), NOTHING, None, NOTHING, 0.0, part, part, part,
        held_out=logits, fold_of=np.arange(400) // 20 % 5,
    )  # fmt: skip
    split: Any = type("Split", (), {"test": part, "validation": part})
    return replace(made, split=split)


@pytest.mark.parametrize(("kind", "half"), [("residual", 0.5), ("features", 0.5), ("mean", 0.0)])
def test_log_odds_that_hold_the_share_of_defects_get_no_half_of_it_again(kind: str, half: float) -> None:
    logits, part = held_out(half)
    found = decided(trained(kind, logits, part, Costs(1, 1)), NOTHING)
    assert found.calibration.offset == pytest.approx(half * np.log(RARE / (1 - RARE)), abs=0.25)
    assert found.test.mean() == pytest.approx(RARE, abs=0.03)


@pytest.mark.parametrize("prevalence", [None, 0.01])
def test_where_the_boundary_lies_moves_no_score_of_a_mean(prevalence: float | None) -> None:
    logits, part = held_out(0.0)
    usual, even = (Costs(escape=escape, prevalence=prevalence) for escape in (10, 1))
    found = []
    for costs in (usual, even):
        served = logits - np.float32(boundary(costs, part.labels))
        at = decided(trained("mean", served, part, costs), NOTHING)
        found.append((scores(served, at.calibration), at.test, at.plain))
    assert boundary(usual, part.labels) < boundary(even, part.labels) - 2
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_offset_of_logits_from_weighed_classes_is_the_one_expected_unless_another_is_named() -> None:
    logits, part = held_out(0.5)
    own = fit_calibration(logits, part.labels, part.groups)
    natural = 0.5 * float(np.log(RARE / (1 - RARE)))
    assert fit_calibration(logits, part.labels, part.groups, expected=natural).offset == pytest.approx(
        own.offset
    )
    assert fit_calibration(logits, part.labels, part.groups, expected=0.0).offset > own.offset + 0.3
    assert scores(logits, own).mean() == pytest.approx(RARE, abs=0.03)
