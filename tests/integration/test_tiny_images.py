"""An image far smaller than the model's input shows no flaw any more: it must not pass for a good part.

The shipped model of rendered parts takes 160 x 160 pixels. Defects that are scaled down to a quarter of that, or less,
go to a person or are found; larger ones escape no oftener than they do at full size.
"""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import shared
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import Verdict
from shared.errors import ItemError
from shared.registry.artifact import Artifact, read_artifact
from shared.vision.accepted import MIN_SIDE
from shared.vision.decision import calibrated_score, decide
from shared.vision.graph import Graph
from shared.vision.guard import read_guard
from shared.vision.preprocess import decode
from training.synthetic.draw import draw

PARTS = 40
SHIPPED = Path(shared.__file__).parent / "registry" / "published" / "rendered-parts" / "rendered-parts.gonogo"


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return read_artifact(SHIPPED)


@pytest.fixture(scope="module")
def defects() -> list[Image.Image]:
    """True defects that the model never saw, drawn at 300 pixels a side."""
    drawn = (draw(np.random.default_rng(1000 + place), 300, defect=True) for place in range(PARTS))
    return [Image.fromarray(part.image) for part in drawn]


def passed(artifact: Artifact, defects: list[Image.Image], side: int) -> int:
    """How many of the defects get a plain `no_defect` where they have `side` pixels a side."""
    pixels = []
    for defect in defects:
        file = io.BytesIO()
        defect.resize((side, side), Image.Resampling.LANCZOS).save(file, "PNG")
        pixels.append(decode(file.getvalue(), artifact.preprocessing))
    images, data = np.stack(pixels), artifact.guard()
    assert data is not None
    logits, features = Graph(artifact, threads=1).logits_and_features(images)
    unlike = read_guard(data, artifact.preprocessing).judge(images, features)
    point: OperatingPoint = artifact.operating_point
    scores = [calibrated_score(float(logit), artifact.calibration) for logit in logits]
    verdicts = [decide(score, point, why) for score, why in zip(scores, unlike, strict=True)]
    return verdicts.count(Verdict.NO_DEFECT)


def test_a_tiny_defect_does_not_pass(artifact: Artifact, defects: list[Image.Image]) -> None:
    quarter = artifact.preprocessing.width // 4
    at_full_size = passed(artifact, defects, artifact.preprocessing.width)
    assert at_full_size <= PARTS // 10
    found = {side: passed(artifact, defects, side) for side in (16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64)}
    assert {side: count for side, count in found.items() if side <= quarter and count} == {}
    assert max(found.values()) <= max(at_full_size, 2), found


def test_below_the_least_side_there_is_no_verdict(artifact: Artifact, defects: list[Image.Image]) -> None:
    file = io.BytesIO()
    defects[0].resize((MIN_SIDE - 1, 64)).save(file, "PNG")
    with pytest.raises(ItemError) as caught:
        decode(file.getvalue(), artifact.preprocessing)
    assert caught.value.code == "too_small"
