"""The run folder holds an artifact that is proven, or none of this training."""

from pathlib import Path

import numpy as np
import pytest

from shared.registry.artifact import Preprocessing, Promise, read_artifact
from shared.vision.graph import Graph
from shared.vision.net import Shape, build
from tests.unit.training.data.files import put
from training.data.check import apart, check
from training.data.records import names_of
from training.data.report import Report
from training.data.splits import Split
from training.fit.augment import Liberties
from training.fit.part import Part
from training.fit.recipe import Plan
from training.fit.train import Fitted
from training.options import Options
from training.proof.operating_point import Costs
from training.proof.prove import prove
from training.trained import Trained

SHAPE = Shape("residual", 16, 16, 1, (8, 16), (1, 1), stem_stride=1)
PLAN = Plan(epochs=1, batch=16, learning_rate=5e-3, weight_decay=0.01, patience=1)


def trained(output: Path) -> Trained:
    part = Part(np.zeros((4, 16, 16, 1), np.uint8), np.arange(4) % 2, np.arange(4))
    options = Options("parts", output, costs=Costs(max_escape_rate=0.01))
    fitted = Fitted(build(SHAPE), PLAN, 1, "planned epochs done", 0.0)
    return Trained(
        Report("parts"), Split([], [], []), "", options, Preprocessing(16, 16, 1), SHAPE,
        Liberties(True, True, True, False), None, fitted, 0.0, part, part, part,
    )  # fmt: skip


@pytest.mark.parametrize("ending", [KeyboardInterrupt, ValueError])
def test_a_proof_that_ends_early_leaves_the_artifact_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: type[BaseException]
) -> None:
    (tmp_path / "parts.gonogo").write_text("of an earlier run")
    promised: list[Promise | None] = []

    def decide(_: Trained, graph: Graph) -> None:
        promised.extend(read_artifact(path).promise for path in tmp_path.glob("*/parts.gonogo"))
        raise ending

    monkeypatch.setattr("training.proof.prove.decided", decide)
    with pytest.raises(ending):
        prove(trained(tmp_path), say=lambda line: None)
    assert promised == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["parts.gonogo"]
    assert (tmp_path / "parts.gonogo").read_text() == "of an earlier run"


def test_images_of_a_relative_and_of_an_absolute_path_are_named_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(4):
        put(
            tmp_path / ("set" if place < 2 else "test") / ("ok" if place % 2 else "nok") / f"{place}.png",
            place,
        )
    monkeypatch.chdir(tmp_path)
    looked = check(Path("set"))
    records = [*looked.records, *apart(tmp_path / "test", looked, say=lambda line: None)]
    assert names_of(records) == ["set/nok/0.png", "set/ok/1.png", "test/nok/2.png", "test/ok/3.png"]
    monkeypatch.chdir(tmp_path / "set")
    assert check(Path()).folder == "set"
