"""Files that end no check: each is read, left out by name, or no image at all."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from shared.contract.operating_point import OperatingPoint
from tests.unit.training.data.files import put
from training.data.check import check
from training.data.load import listing
from training.data.masks import marks
from training.data.records import Record, Source
from training.data.words import Words
from training.proof.evaluate import write_results


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
    write_results(tmp_path / "results.csv", artifact, [Record(Path(f"{odd}.png"), 1, odd)], [0.75])
    assert r"gr\udcfcn.png,defect,gr\udcfcn,defect,0.75" in (tmp_path / "results.csv").read_text()


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
