"""Tables: where their paths start, the masks that they name, and the images that they leave out."""

from pathlib import Path

import pytest
from PIL import Image

from tests.unit.training.data.files import put
from training.data.check import check
from training.data.load import listing, load
from training.data.records import DataError


def mask(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (96, 80), grey).save(path)


@pytest.mark.parametrize("named", [".", "image_anno.csv"])
def test_paths_start_above_the_folder_that_a_person_works_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    put(tmp_path / "candle" / "Normal" / "0.JPG", 1)
    (tmp_path / "candle" / "image_anno.csv").write_text("image,label,mask\ncandle/Normal/0.JPG,normal,\n")
    monkeypatch.chdir(tmp_path / "candle")
    assert [record.path.is_file() for record in load(Path(named))] == [True]


def test_masks_of_a_table_are_masks_and_what_it_leaves_out_needs_a_line(tmp_path: Path) -> None:
    put(tmp_path / "img" / "a.png", 1)
    put(tmp_path / "img" / "b.png", 2)
    put(tmp_path / "img" / "c.png", 3)
    mask(tmp_path / "annot" / "a.png", 255)
    (tmp_path / "images.csv").write_text("file,label,mask\nimg/a.png,nok,annot/a.png\nimg/b.png,ok,\n")
    report = check(tmp_path)
    assert (report.masks, report.ignored) == (1, ["img/c.png"])
    assert "in img (1): a line in the table labels an image" in report.as_text()
    (tmp_path / "images.csv").write_text("file,label,mask\nimg/a.png,nok,annot/a.png\n")
    with pytest.raises(DataError, match=r"reaches img \(2\): a line in the table"):
        check(tmp_path)


@pytest.mark.parametrize("grey", [0, None])
def test_a_word_is_a_kind_of_defect_only_where_the_mask_marks_a_pixel(
    tmp_path: Path, grey: int | None
) -> None:
    for place, name in enumerate("ab"):
        put(tmp_path / f"{name}.png", place)
    mask(tmp_path / "masks" / "a.png", 255)
    if grey is not None:
        mask(tmp_path / "masks" / "b.png", grey)
    lines = ["file,label,mask", "a.png,melt,masks/a.png"]
    (tmp_path / "images.csv").write_text("\n".join(lines))
    assert [(record.label, record.kind) for record in load(tmp_path)] == [(1, "melt")]
    (tmp_path / "masks" / "broken.png").write_bytes(b"no image")
    (tmp_path / "images.csv").write_text("\n".join([lines[0], "a.png,melt,masks/broken.png"]))
    assert [record.kind for record in load(tmp_path)] == ["melt"], "one damaged mask refuses no set"
    (tmp_path / "images.csv").write_text("\n".join([*lines, "b.png,ok_cleaned,masks/b.png"]))
    with pytest.raises(DataError, match=r"line 3: .*'ok_cleaned'.*--good WORD"):
        listing(tmp_path)
