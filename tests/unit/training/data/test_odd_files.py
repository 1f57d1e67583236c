"""Files that end no check: each is read, left out by name, or no image at all."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Preprocessing
from tests.unit.training.data.files import put
from training.data.check import check
from training.data.load import listing
from training.data.masks import marks
from training.data.pixels import decode_files
from training.data.records import DataError, Record, Source
from training.data.words import Words
from training.proof.evaluate import Judged, write_results
from training.teacher.teach import unlabelled_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in range(4):
        put(tmp_path / ("ok" if place % 2 else "nok") / f"{place}.png", place)
    return tmp_path


def test_names_that_are_no_utf_8_are_shown_with_escapes(folder: Path) -> None:
    odd = os.fsdecode(b"gr\xfcn")
    Image.new("L", (96, 80)).save(folder / "nok" / f"{odd}.gif")
    put(folder / "nok" / odd / "4.png", 4)
    (folder / odd).symlink_to(folder / "away")
    report = check(Source(folder, Words(good=(f"{odd}e",))))
    assert report.unreadable == [r"nok/gr\udcfcn.gif"]
    assert report.broken_links == [r"gr\udcfcn"]
    assert report.idle_words == [r"gr\udcfcne"]
    assert {record.kind for record in report.records} == {"", r"gr\udcfcn"}
    report.as_text().encode()
    json.dumps(report.as_json(), ensure_ascii=False).encode()
    put(folder / "below" / odd / "ok" / "1.png", 1)
    assert check(folder / "below" / odd).folder == r"gr\udcfcn"


def test_results_of_an_evaluation_name_every_file(tmp_path: Path) -> None:
    odd = os.fsdecode(b"gr\xfcn")
    artifact = cast(Any, SimpleNamespace(operating_point=OperatingPoint(0.5, 0.5, 0.5)))
    write_results(tmp_path / "results.csv", artifact, [Record(Path(f"{odd}.png"), 1, odd)], [Judged(0.75)])
    assert r"gr\udcfcn.png,defect,gr\udcfcn,defect,,0.75" in (tmp_path / "results.csv").read_text()


@pytest.mark.parametrize("name", ["_mask.png", "-gt.png", "_label.bmp"])
def test_an_image_that_is_called_by_an_ending_of_masks_alone_is_an_image(folder: Path, name: str) -> None:
    put(folder / "nok" / name, 4)
    assert len(listing(folder).records) == 5


def test_a_pair_too_large_to_open_is_named_and_ends_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)
    for suffix in ("jpg", "tif"):
        Image.new("L", (400, 400)).save(folder / "nok" / f"pano.{suffix}")
    assert check(folder).unreadable == ["nok/pano.tif"]
    assert marks(folder / "nok" / "pano.tif") is None


def test_the_settings_of_the_service_bound_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = folder / "nok" / "large.bmp"
    Image.new("L", (300, 200)).save(large)
    monkeypatch.setenv("GONOGO_MAX_ITEM_BYTES", str(large.stat().st_size))
    assert not check(folder).unreadable
    monkeypatch.setenv("GONOGO_MAX_ITEM_BYTES", str(large.stat().st_size - 1))
    whole = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: pytest.fail("read") if path == large else whole(path)
    )
    assert check(folder).reasons["nok/large.bmp"].startswith("too_large: ")
    with pytest.raises(DataError, match="an image may have"):
        decode_files([large], Preprocessing(24, 24, 1))
    assert unlabelled_files(folder / "nok", [], Preprocessing(24, 24, 1))[1] == 1


def test_limits_of_the_decoder_come_from_the_settings_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = put(folder / "nok" / "cut.jpg", 9)
    cut.write_bytes(cut.read_bytes()[:-2])
    assert check(folder).unreadable == ["nok/cut.jpg"]
    monkeypatch.setenv("GONOGO_TOLERATED_IMAGE_FAULTS", "jpeg_missing_end")
    assert not check(folder).unreadable
    assert len(decode_files([cut], Preprocessing(24, 24, 1))) == 1
    monkeypatch.setenv("GONOGO_MAX_PIXELS", "7000")
    with pytest.raises(DataError, match="too_many_pixels 5"):
        check(folder)


def test_hidden_images_and_folders_of_images_are_left_out_and_named(folder: Path) -> None:
    put(folder / "nok" / ".hidden.png", 7)
    put(folder / ".old" / "8.png", 8)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("no image")
    (folder / "ok" / "._1.png").write_bytes(b"of the operating system")
    report = check(folder)
    assert len(report.records) == 4
    assert report.hidden == [".old", "nok/.hidden.png"]
    assert "hidden by a name that begins with a dot, left out: 2 (.old; nok/.hidden.png)" in report.as_text()
    assert report.as_json()["counts"]["hidden"] == 2
    _, left_out = unlabelled_files(folder, report.records, Preprocessing(48, 40, 1))
    assert left_out == 6
