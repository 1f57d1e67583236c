"""Options that would have no effect, or a promise that nothing proves, end a training before it begins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.registry.versions import InvalidModelName
from training.data.choose import choose_split
from training.data.records import DataError, Record
from training.data.report import Report
from training.data.splits import given_split, grouped_split
from training.effects import refuse_for_good_parts, refuse_for_original, refuse_idle, refuse_seen
from training.options import Options
from training.pipeline import train_folder
from training.program import main
from training.proof.operating_point import Costs

OPTIONS = Options("m", Path("unused"))
PROMISE = Costs(max_escape_rate=0.01)


def records(defects: int, good: int, split: str | None = None) -> list[Record]:
    named = [
        Record(Path(f"{split}-{place}.png"), int(place < defects), "") for place in range(defects + good)
    ]
    return [
        replace(record, group=record.path.name, split=split, identity=record.path.name) for record in named
    ]


def folder(tmp_path: Path, **counts: int) -> Path:
    rng = np.random.default_rng(0)
    for label, count in counts.items():
        (tmp_path / "parts" / label).mkdir(parents=True)
        for place in range(count):
            pixels = rng.integers(0, 256, (24, 24), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "parts" / label / f"{place}.png")
    return tmp_path / "parts"


def test_good_parts_alone_make_no_promise(tmp_path: Path) -> None:
    options = replace(OPTIONS, output=tmp_path / "run", costs=PROMISE)
    with pytest.raises(DataError, match=r"needs 299 defective parts .* here are 3: \d+ more are needed"):
        train_folder(folder(tmp_path, good=20, bad=3), options, say=lambda line: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"costs": PROMISE}, "--max-escape-rate"),
        ({"costs": Costs(prevalence=0.01)}, "--prevalence"),
        ({"costs": Costs(escape=50.0)}, "--escape-cost"),
        ({"serve": "small"}, "--serve"),
        ({"images_per_second": 9.0}, "--images-per-second"),
        ({"unlabelled": Path("u")}, "--unlabelled"),
    ],
)
def test_a_training_names_each_option_that_it_can_not_follow(changed: dict[str, object], named: str) -> None:
    options = replace(OPTIONS, **changed)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=named):
        refuse_for_good_parts(options, 0)
    with pytest.raises(DataError, match=named):
        refuse_for_original(options)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"split": "random"}, "--split random"),
        ({"go_on": Path("a.gonogo")}, "--go-on"),
        ({"start": "a.gonogo"}, "--start"),
        ({"unlabelled": Path("u")}, "--unlabelled"),
    ],
)
def test_a_promise_refuses_choices_by_which_its_parts_may_be_learned(
    tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(DataError, match=named):
        train_folder(tmp_path / "not looked at", replace(OPTIONS, costs=PROMISE, **changed))
    refuse_seen(replace(OPTIONS, **changed))
    refuse_seen(replace(OPTIONS, costs=PROMISE, start="none", split="grouped"))


def test_usual_options_are_refused_by_none() -> None:
    refuse_for_good_parts(OPTIONS, 0)
    refuse_for_original(OPTIONS)
    with pytest.raises(DataError, match="--max-escape-rate"):
        refuse_idle(replace(OPTIONS, costs=PROMISE, preset="original", split="random"))


def test_a_confidence_of_no_promise_is_refused() -> None:
    refuse_idle(OPTIONS)
    refuse_idle(replace(OPTIONS, costs=Costs(max_escape_rate=0.01, confidence=0.99)))
    with pytest.raises(DataError, match="--confidence"):
        refuse_idle(replace(OPTIONS, costs=Costs(confidence=0.99)))


def test_without_a_promise_the_splits_are_the_usual_ones() -> None:
    plain = records(40, 60)
    made, how = choose_split(Report("parts", records=plain), OPTIONS)
    assert made == grouped_split(plain, seed=0)
    assert how == "random 70/15/15 by whole groups"
    given = records(40, 60, "train") + records(10, 10, "test")
    assert choose_split(Report("parts", records=given), OPTIONS)[0] == given_split(given, seed=0)


@pytest.mark.parametrize(
    "words",
    ["--budget 0", "--budget nan", "--budget -3", "--threads 0", "--side 0", "--speed -1", "--full-scale 0",
     "--max-escape-rate abc"],
)  # fmt: skip
def test_a_number_that_means_nothing_is_refused_at_the_command_line(
    tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["train", str(tmp_path), *words.split()])
    assert refused.value.code == 2
    assert words.split(maxsplit=1)[0] in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", ".", " x", "mdl_1"])
def test_a_name_that_can_not_name_a_model_is_refused_before_the_training(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = folder(tmp_path, good=3, bad=3)
    assert main(["train", str(parts), "--name", name, "--output", str(tmp_path / "run")]) == 1
    assert "a model's name" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--start", "--go-on", "--test", "--unlabelled"])
def test_a_path_that_is_not_there_is_named_before_images_are_looked_at(
    tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = folder(tmp_path, good=3, bad=3)
    assert (
        main(["train", str(parts), word, str(tmp_path / "nowhere"), "--output", str(tmp_path / "run")]) == 1
    )
    said = capsys.readouterr()
    assert word in said.err
    assert not said.out


def test_a_model_is_named_after_the_folder_even_from_inside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from argparse import Namespace

    from training.program import model_name

    parts = tmp_path / "parts v1.2"
    parts.mkdir()
    monkeypatch.chdir(parts)
    assert model_name(Namespace(folder=Path("."), name=None)) == "parts v1.2"
    with pytest.raises(InvalidModelName):
        model_name(Namespace(folder=Path("/"), name=None))
