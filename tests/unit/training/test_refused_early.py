"""A request that can't be met is refused in one sentence, which names the option or the file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shared.errors import ArtifactError
from tests.unit.training.data.files import put
from training.artifacts import artifact_at
from training.data.check import check
from training.data.records import DataError
from training.data.report import Report
from training.data.splits import Split
from training.effects import refuse_for_good_parts
from training.network import LEAST_SIDE, preprocessing_of
from training.options import Options
from training.program import main
from training.run_folder import begin
from training.teacher.teach import unlabelled_files

OPTIONS = Options("m", Path("unused"))


def test_an_artifact_is_named_in_its_error_and_found_in_its_run_folder(
    tmp_path: Path, artifact: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(b"no artifact")
    with pytest.raises(ArtifactError, match=r"photo\.png: "):
        artifact_at(tmp_path / "photo.png")
    with pytest.raises(ArtifactError, match="holds 0 artifacts"):
        artifact_at(tmp_path)
    (tmp_path / "one.gonogo").write_bytes(artifact.read_bytes())
    assert artifact_at(tmp_path).sha256 == artifact_at(artifact).sha256


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = replace(OPTIONS, output=tmp_path / "run", device="cuda")
    with pytest.raises(DataError, match="--device cuda"):
        begin(Split([], [], []), "none", options, lambda line: None)
    assert not (tmp_path / "run").exists()


def test_good_parts_alone_are_not_learned_on_a_gpu() -> None:
    refuse_for_good_parts(replace(OPTIONS, device="cpu"), 0)
    with pytest.raises(DataError, match="--device"):
        refuse_for_good_parts(replace(OPTIONS, device="cuda"), 0)


def test_an_earlier_training_is_replaced_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    begin(Split([], [], []), "none", replace(OPTIONS, output=tmp_path, threads=1), said.append)
    assert not any("earlier" in line for line in said)
    (tmp_path / "card.json").write_text("{}")
    begin(Split([], [], []), "none", replace(OPTIONS, output=tmp_path, threads=1), said.append)
    assert any("earlier training" in line for line in said)


@pytest.mark.parametrize(("side", "named"), [(LEAST_SIDE - 1, "16 pixels or more"), (45, "48 x 40")])
def test_a_side_that_the_images_do_not_have_is_refused(side: int, named: str) -> None:
    with pytest.raises(DataError, match=f"--side {side}: .*{named}"):
        preprocessing_of(Report("parts", sizes={"48x40": 9}), replace(OPTIONS, side=side))


def test_the_largest_side_that_is_taken_keeps_every_pixel() -> None:
    spec = preprocessing_of(Report("parts", sizes={"480x200": 9}), replace(OPTIONS, side=310))
    assert (spec.width, spec.height) == (480, 200)


def test_a_place_that_nothing_can_be_written_to_is_named_before_the_images_are_looked_at(
    tmp_path: Path, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    below, folder = str(tmp_path / "taken" / "run"), str(tmp_path)
    commands = {
        ("train", folder, "--output", below): "is a file",
        ("hasten", str(artifact), folder, "--output", below): "is a file",
        ("guard", str(artifact), folder, "--output", below): "is a file",
        ("evaluate", str(artifact), folder, "--output", below): "is a file",
        ("evaluate", str(artifact), folder, "--output", folder): "is a folder",
    }
    for command, reason in commands.items():
        assert main([*command]) == 1
        said = capsys.readouterr().err
        assert said.startswith("training: --output ") and reason in said, said


def test_a_folder_of_unlabelled_images_without_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    spec = preprocessing_of(Report("parts", sizes={"48x40": 9}), OPTIONS)
    with pytest.raises(DataError, match="holds no image"):
        unlabelled_files(tmp_path, [], spec)


@pytest.mark.parametrize(("option", "value"), [("--budget", "abc"), ("--budget", "-1"), ("--threads", "two")])
def test_a_wrong_number_is_named_in_words(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "parts", option, value])
    said = capsys.readouterr().err
    assert f"not '{value}'" in said
    assert "_above" not in said and "_count" not in said


def test_check_says_how_images_of_more_than_8_bits_are_read(tmp_path: Path) -> None:
    for place in range(6):
        put(tmp_path / ("ok" if place < 3 else "nok") / f"{place}.png", place)
    deep = np.full((40, 40), 40_000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "ok" / "deep.png")
    assert "--full-scale" in check(tmp_path).as_text()
    assert "--full-scale" not in check(tmp_path, full_scale=65_535).as_text()
