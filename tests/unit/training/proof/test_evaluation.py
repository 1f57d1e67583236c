"""`evaluate` says of a folder what the service would: the guard decides before the score."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import read_artifact
from tests.harness.processes import ROOT
from training.data.records import Record
from training.program import main
from training.proof import evaluation
from training.proof.evaluate import Judged, evaluate, judge_records
from training.proof.evaluation import result_lines
from training.proof.metrics import report

SOLAR = ROOT / "shared/registry/published/solar-modules/solar-modules.gonogo"


@pytest.fixture
def lens_cap(tmp_path: Path) -> Path:
    """Six black frames: a score would pass them."""
    for label in ("good", "bad"):
        (tmp_path / "caps" / label).mkdir(parents=True)
        for level in range(3):
            name = tmp_path / "caps" / label / f"{level}.png"
            Image.new("L", (24, 40), level + 3 * (label == "bad")).save(name)
    return tmp_path / "caps"


def told(folder: Path, capsys: pytest.CaptureFixture[str], *options: str, status: int = 0) -> str:
    assert main(["evaluate", str(SOLAR), str(folder), *options]) == status
    return capsys.readouterr().out


def test_images_unlike_those_of_the_model_go_to_review_and_a_line_warns(
    lens_cap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(lens_cap, capsys, "--output", str(tmp_path / "verdicts.csv"))
    assert "verdicts: defect 0, no_defect 0, review 6, of which 6 because they are unlike" in said
    assert "without a look pass 0 defects, and 0 good parts are rejected" in said
    assert "warning: 6 of 6 images are unlike" in said
    rows = list(csv.DictReader((tmp_path / "verdicts.csv").read_text().splitlines()))
    assert {row["verdict"] for row in rows} == {"review"}
    assert {row["reasons"].split()[0] for row in rows} == {"blank"}
    assert [row["file"] for row in rows] == [
        f"{label}/{n}.png" for label in ("bad", "good") for n in range(3)
    ]
    assert all(float(row["unfamiliarity"]) > 1 and row["score"] and not row["kind"] for row in rows)


def test_a_program_is_told_the_same(lens_cap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lens_cap / "bad" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    found = json.loads(told(lens_cap, capsys, "--json"))
    assert (found["pictures"], found["unfamiliar"], found["reviewed"], found["escapes_after_review"]) == (
        6,
        6,
        6,
        0,
    )
    (warning,) = found["warnings"]
    assert warning.startswith("6 of 6 images are unlike")
    assert [entry["file"] for entry in found["refused"]] == ["bad/broken.png"]
    assert found["groups"] is None and found["accuracy_by_groups"] is None, "nothing names the parts"


def test_refused_images_are_named_with_their_error(
    lens_cap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (lens_cap / "bad" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    said = told(lens_cap, capsys)
    assert "6 images scored, 1 refused\n" in said
    assert "1 (bad/broken.png)" in said
    assert "ECE none for so few images" in said


def test_an_image_with_both_labels_is_left_out_and_named(
    lens_cap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (lens_cap / "good" / "copy.png").write_bytes((lens_cap / "bad" / "0.png").read_bytes())
    said = told(lens_cap, capsys)
    assert "same image, both labels, left out: 2 (bad/0.png; good/copy.png)" in said
    assert "5 images scored" in said


def test_a_folder_that_the_service_refuses_whole_has_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("good", "bad"):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / f"{label}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + label.encode())
    assert told(tmp_path / "set", capsys, status=1).splitlines()[0] == "0 images scored, 2 refused"


def test_an_artifact_without_a_guard_judges_by_the_score(lens_cap: Path, artifact: Path) -> None:
    records = [Record(path, 1, "") for path in sorted((lens_cap / "bad").iterdir())]
    outcomes = judge_records(read_artifact(artifact), records)
    assert all(isinstance(each, Judged) and each.unlike == () and each.kind is None for each in outcomes)
    report = evaluate(read_artifact(artifact), records, outcomes)
    assert report is not None and report.pictures == 3


@pytest.mark.parametrize(("kind", "stated"), [("residual", True), ("patches", False)])
def test_scores_of_good_parts_alone_are_told_as_no_probabilities(kind: str, stated: bool) -> None:
    artifact = cast(
        Any,
        SimpleNamespace(
            card={"network": {"kind": kind}}, operating_point=OperatingPoint(0.5, 0.5, 0.5), name="m"
        ),
    )
    p, labels = np.tile([0.1, 0.9], 100), np.tile([0, 1], 100)
    figures = report(p, labels, np.arange(200), artifact.operating_point)
    records = [Record(Path(f"{place}.png"), int(label), "") for place, label in enumerate(labels)]
    outcomes = [Judged(float(score)) for score in p]
    lines = "\n".join(result_lines(artifact, figures, records, outcomes, by_parts=False))
    assert ("at 0.5" in lines) is ("ECE" in lines) is stated
    card = evaluation.told(artifact, figures, records, outcomes, by_parts=False)
    assert (card["ece"] is not None) is (card["accuracy_at_half"] is not None) is stated
