"""A promise is made on whole parts that nothing else of the training has seen."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from shared.registry.artifact import Artifact, Preprocessing, read_artifact
from shared.vision.decision import calibrated_score
from shared.vision.graph import Graph
from training import pipeline
from training.data.check import check
from training.data.choose import choose_split
from training.data.records import DataError, Record
from training.data.report import Report
from training.data.splits import part_hash
from training.fit.part import Part
from training.fit.recipe import ORIGINAL_PLAN
from training.fit.start import PUBLISHED
from training.fit.train import Fitted
from training.guarding import parts_of
from training.options import Options
from training.output import plots
from training.output.card import readable
from training.output.facts import asked
from training.proof.decided import decided
from training.proof.operating_point import Costs, check_promise, defective_parts
from training.trained import Trained

PROMISE = Costs(max_escape_rate=0.01)
OPTIONS = Options("m", Path("unused"), costs=PROMISE)


def records(defects: int, good: int, split: str | None = None, images: int = 1) -> list[Record]:
    """So many parts of each label, each in so many images."""
    parts = [(f"{split}-{place:04}", int(place < defects)) for place in range(defects + good)]
    return [
        Record(Path(f"{part}-{view}.png"), label, part, split, f"{part}-{view}")
        for part, label in parts
        for view in range(images)
    ]


def shares(part: list[Record]) -> float:
    return sum(record.label for record in part) / len(part)


@pytest.mark.parametrize("images", [1, 3])
def test_whole_parts_are_kept_for_the_bound_alone(images: int) -> None:
    every = records(700, 1400, images=images)
    made, how = choose_split(Report("parts", records=every), OPTIONS)
    assert made.proof is not None
    assert defective_parts(made.proof) == 299
    assert "only the bound of the promise sees" in how
    sides = [{r.group for r in part} for part in (made.train, made.validation, made.test, made.proof)]
    assert len(set().union(*sides)) == sum(map(len, sides)) == 2100
    assert shares(made.proof) == pytest.approx(shares(made.train), abs=0.01)
    again, _ = choose_split(Report("parts", records=every), replace(OPTIONS, seed=1))
    assert again.proof != made.proof


def test_a_promise_takes_its_parts_from_outside_a_given_test_part() -> None:
    every = records(700, 900, "train") + records(50, 50, "test")
    made, how = choose_split(Report("parts", records=every), OPTIONS)
    check_promise(made.proof or [], PROMISE)
    assert [record.split for record in made.test] == ["test"] * 100
    assert how.startswith("as the data names it")
    with pytest.raises(DataError, match="here are 590: 8 more"):
        choose_split(Report("parts", records=records(590, 900, "train") + records(50, 50, "test")), OPTIONS)


def test_as_many_more_defective_parts_as_a_refused_promise_names_are_enough() -> None:
    with pytest.raises(DataError, match=r"598 in all.*here are 100: 498 more") as refused:
        choose_split(Report("parts", records=records(100, 900, images=4)), OPTIONS)
    more = int(str(refused.value).rpartition(": ")[2].split()[0])
    made, _ = choose_split(Report("parts", records=records(100 + more, 900, images=4)), OPTIONS)
    check_promise(made.proof or [], PROMISE)


def folder(tmp_path: Path) -> Path:
    """60 good and 40 defective parts."""
    rng = np.random.default_rng(0)
    for label, count in {"good": 60, "bad": 40}.items():
        (tmp_path / "parts" / label).mkdir(parents=True)
        for place in range(count):
            pixels = rng.integers(0, 256, (24, 24), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "parts" / label / f"{place}.png")
    return tmp_path / "parts"


class _Graph:
    """A network that reads the logit from the only pixel."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (images[:, 0, 0, 0] / 10 - 12).astype(np.float32)


def part(logits: list[float], labels: list[int], groups: list[int]) -> Part:
    pixels = np.round((np.array(logits) + 12) * 10).astype(np.uint8)
    return Part(pixels[:, None, None, None], np.array(labels), np.array(groups))


def test_the_bound_is_chosen_on_its_own_parts_by_the_arithmetic_that_serves() -> None:
    seen = part([-8, 2, 3, 4, -5, -4, -3, -2], [1, 1, 1, 1, 0, 0, 0, 0], list(range(8)))
    own = part([3, -1, 2, 1, 5], [1] * 5, [0, 0, 1, 2, 3])  # the part 0 has two images, and its lowest counts
    trained = SimpleNamespace(
        validation=seen,
        test=seen,
        proof=own,
        options=replace(OPTIONS, costs=Costs(max_escape_rate=0.6, confidence=0.9)),
        held_out=None,
        fold_of=None,
        tests_itself=False,
        shape=SimpleNamespace(kind="residual"),
    )
    found = decided(cast(Trained, trained), cast(Graph, _Graph()))
    assert found.point.review_low == calibrated_score(float(np.float32(-1)), found.calibration)


def test_no_step_of_a_training_sees_the_parts_of_its_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Part] = []
    proven: list[Trained] = []

    def fit(shape: object, train: Part, validation: Part, **more: object) -> Fitted:
        seen.extend((train, validation))
        return Fitted(nn.Identity(), ORIGINAL_PLAN, 1, "", 0.0)

    monkeypatch.setattr(pipeline, "fit", fit)
    monkeypatch.setattr(plots, "curves", lambda *given: None)
    monkeypatch.setattr(pipeline, "prove", lambda trained, say: proven.append(trained))
    options = Options("m", tmp_path / "run", costs=Costs(max_escape_rate=0.2), teacher=False)
    pipeline.train_folder(folder(tmp_path), options, say=lambda line: None)
    [trained] = proven
    assert trained.proof is not None
    assert len(trained.proof) == trained.proof.labels.sum() == 14
    judged = [each.tobytes() for held in (*seen, trained.test) for each in held.images]
    assert not {each.tobytes() for each in trained.proof.images} & set(judged)
    assert (trained.validation, trained.train) == (seen[1], seen[0])
    assert '"proof"' in (tmp_path / "run" / "split.json").read_text()


def test_a_later_change_of_the_artifact_finds_the_parts_of_its_training(tmp_path: Path) -> None:
    costs = Costs(max_escape_rate=0.2)
    made, how = choose_split(check(folder(tmp_path)), replace(OPTIONS, costs=costs))
    promise = {"max_escape_rate": 0.2, "confidence": 0.95, "parts": 14, "missed": 0}
    card = {
        "network": {"kind": "residual"},
        "data": {"split": how, "test_sha256": part_hash(made.test)},
        "training": {"preset": "recipe", "seed": 0, "promise": promise},
    }
    artifact = SimpleNamespace(name="m", card=card, preprocessing=Preprocessing(24, 24, 1))
    found = parts_of(cast(Artifact, artifact), tmp_path / "parts")
    assert found == (made.train, made.validation, made.test)


def test_a_card_says_which_parts_chose_the_bound() -> None:
    card = read_artifact(PUBLISHED).card
    promise = {"max_escape_rate": 0.01, "confidence": 0.95, "parts": 299, "missed": 0}
    told = readable(card | {"training": card["training"] | {"promise": promise}})
    assert "Promise: at most 1.00 % escapes at 95.00 % confidence. 299 defective parts" in told
    assert "the lower bound of review on the parts of the promise" in told
    assert "romise" not in readable(card)


def test_a_card_states_every_cost_beside_a_promise() -> None:
    told = asked(replace(OPTIONS, costs=Costs(escape=50, max_escape_rate=0.01, prevalence=0.02)))["costs"]
    assert told.startswith(
        "at most 1.00% escapes at 95% confidence, 2.00% of the parts are defective, an escape costs 50"
    )
