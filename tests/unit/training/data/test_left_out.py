"""Images that the names of folders leave out are named, whichever command reads the folder."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.data.files import lay, put
from training import program
from training.data.check import apart, check
from training.data.records import DataError, Source
from training.data.reviews import gather
from training.data.words import Words


def test_the_findings_of_a_test_folder_are_said(tmp_path: Path) -> None:
    looked = check(lay(tmp_path / "train", "good"))
    for place in range(2):
        put(tmp_path / "new" / "good" / f"{place}.png", 70 + place)
        put(tmp_path / "new" / "odd" / f"{place}.png", 80 + place)
    said: list[str] = []
    apart(tmp_path / "new", looked, say=said.append)
    assert "the test part, new:\n2 images" in said[0]
    assert "in odd (2): --good NAME or --defect NAME" in said[0]


def test_images_that_are_left_out_next_to_reviews_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviewed = put(tmp_path / "reviewed.png", 90)
    with zipfile.ZipFile(tmp_path / "reviews.zip", "w") as archive:
        archive.write(reviewed, "defect/reviewed.png")
        archive.writestr("images.csv", "file,label\ndefect/reviewed.png,defect\n")
    monkeypatch.chdir(tmp_path)
    lay(tmp_path / "parts", "good", "odd")
    besides = Source(Path("parts"), Words(good=("gut",)))
    said: list[str] = []
    gather(str(tmp_path / "reviews.zip"), tmp_path / "to", key=None, besides=besides, say=said.append)
    assert said[0] == "--good and --defect: nothing is named gut"
    assert "no label reaches, left out: 2 (odd/0.png; odd/1.png)" in said


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_an_evaluation_says_which_images_it_leaves_out(
    tmp_path: Path, option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise DataError("no artifact")

    monkeypatch.setattr(program, "artifact_at", lambda path: None)
    monkeypatch.setattr("training.proof.evaluate.judge_records", refuse)
    lay(tmp_path / "parts", "good", "odd")
    assert program.main(["evaluate", "a.gonogo", str(tmp_path / "parts"), *option]) == 1
    printed = capsys.readouterr()
    assert "no label reaches, left out: 2" in (printed.err if option else printed.out)
    assert bool(printed.out) != bool(option)
