"""Folders and tables as they come from cameras, benchmarks and Excel."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Preprocessing
from tests.unit.training.data.files import labels, put
from training.data.check import check
from training.data.choose import choose_split
from training.data.load import listing, load
from training.data.pixels import decode_files, decode_masks
from training.data.records import DataError, Record, Source
from training.data.words import Words
from training.options import Options
from training.proof.kinds import by_kind


def mvtec(root: Path) -> Path:
    """The layout of MVTec AD: kinds next to `good` below test, masks in ground_truth."""
    for place in range(20):
        put(root / "train" / "good" / f"{place:03}.png", place)
    for place in range(6):
        put(root / "test" / "good" / f"{place:03}.png", 100 + place)
        for number, kind in enumerate(("broken_large", "contamination")):
            seed = 200 + 10 * number + place
            put(root / "test" / kind / f"{place:03}.png", seed)
            put(root / "ground_truth" / kind / f"{place:03}_mask.png", seed, mask=True)
    return root


def test_kinds_next_to_good_are_defects_and_masks_are_no_images(tmp_path: Path) -> None:
    found = listing(mvtec(tmp_path / "bottle"))
    counts = Counter((record.label, record.kind) for record in found.records)
    assert counts == {(0, ""): 26, (1, "broken_large"): 6, (1, "contamination"): 6}
    assert len(found.masks) == 12
    assert not found.ignored
    for record in found.records:
        wanted = tmp_path / "bottle" / "ground_truth" / record.kind / f"{record.path.stem}_mask.png"
        assert record.mask == (wanted if record.label else None)


def test_several_products_in_one_folder_find_their_own_masks(tmp_path: Path) -> None:
    for product in ("bottle", "cable"):
        mvtec(tmp_path / product)
    for record in load(tmp_path):
        if record.mask is not None:
            assert record.mask.relative_to(tmp_path).parts[0] == record.path.relative_to(tmp_path).parts[0]
    assert sum(record.mask is not None for record in load(tmp_path)) == 24


def test_a_given_train_part_of_good_images_alone_is_set_aside_and_said(tmp_path: Path) -> None:
    looked = check(mvtec(tmp_path))
    split, how = choose_split(looked, Options(name="", output=tmp_path))
    assert {record.label for record in split.train} == {0, 1}
    assert "good images only" in how


def test_btad_is_read(tmp_path: Path) -> None:
    put(tmp_path / "01" / "train" / "ok" / "0.bmp", 1)
    put(tmp_path / "01" / "test" / "ok" / "1.bmp", 2)
    put(tmp_path / "01" / "test" / "ko" / "2.bmp", 3)
    put(tmp_path / "01" / "ground_truth" / "ko" / "2.png", 3, mask=True)
    found = listing(tmp_path)
    assert sorted((r.label, r.split) for r in found.records) == [(0, "test"), (0, "train"), (1, "test")]
    assert [r.mask.name for r in found.records if r.mask] == ["2.png"]


def test_a_folder_without_labels_names_the_table_that_lies_in_it(tmp_path: Path) -> None:
    put(tmp_path / "img" / "a.png", 1)
    (tmp_path / "line 1.csv").write_text("file;label\nimg/a.png;ok\n")
    with pytest.raises(DataError, match=r"give its path: line 1\.csv; images lie in img"):
        load(tmp_path)


def test_a_table_of_files_that_are_not_there_says_where_it_looked(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("file;label\nC:\\cam\\a.png;ok\nC:\\cam\\b.png;nok\n")
    with pytest.raises(DataError, match="not one of its 2 files is there"):
        check(tmp_path)


def test_folders_below_a_defect_folder_are_kinds_and_numbers_are_not(tmp_path: Path) -> None:
    put(tmp_path / "bad" / "scratch" / "2024" / "a.png", 1)
    put(tmp_path / "bad" / "17" / "b.png", 2)
    put(tmp_path / "good" / "17" / "c.png", 3)
    assert labels(tmp_path) == {
        "bad/scratch/2024/a.png": (1, "scratch"),
        "bad/17/b.png": (1, ""),
        "good/17/c.png": (0, ""),
    }


def test_masks_next_to_their_images_are_no_images(tmp_path: Path) -> None:
    for place in range(3):
        put(tmp_path / "defect" / f"{place}.jpg", place)
        put(tmp_path / "defect" / f"{place}.png", place, mask=True)
        put(tmp_path / "good" / f"{place}.png", 10 + place)
        put(tmp_path / "good" / f"{place}_label.bmp", 10 + place, mask=True)
    found = listing(tmp_path)
    assert len(found.records) == 6
    assert len(found.masks) == 6
    assert all(record.mask is not None for record in found.records)


def test_two_images_of_one_name_are_both_images_where_neither_is_a_mask(tmp_path: Path) -> None:
    put(tmp_path / "defect" / "a.jpg", 1)
    put(tmp_path / "defect" / "a.png", 2)
    assert len(load(tmp_path)) == 2


def test_masks_that_number_the_kinds_mark_flaws_as_white_ones_do(tmp_path: Path) -> None:
    image = put(tmp_path / "a.png", 1)
    faint = np.zeros((80, 96), np.uint8)
    faint[20:60, 30:70] = 3
    Image.fromarray(faint).save(tmp_path / "m.png")
    record = Record(image, 1, "", mask=tmp_path / "m.png")
    marked = decode_masks([record, Record(image, 0, "")], Preprocessing(48, 40, 1))
    assert marked is not None
    assert (marked[0].max(), marked[1].max()) == (255, 0)
    assert decode_masks([record, Record(image, 1, "")], Preprocessing(48, 40, 1)) is None


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["p1_top.png", "p1_side.png", "p2_top.png"], [2, 1]),
        (["0001-cam1.png", "0001-cam2.png"], [2]),
        (["desktop.png", "laptop.png", "1.png"], [1, 1, 1]),
    ],
)
def test_views_of_a_part_share_its_group(tmp_path: Path, names: Sequence[str], parts: list[int]) -> None:
    for place, name in enumerate(names):
        put(tmp_path / "ok" / name, place)
    put(tmp_path / "nok" / "x.png", 99)
    report = check(tmp_path)
    counts = Counter(record.group for record in report.records if record.label == 0)
    assert sorted(counts.values(), reverse=True) == parts
    assert not report.has_groups


def test_a_part_whose_views_carry_both_labels_stays_on_one_side(tmp_path: Path) -> None:
    for place in range(3):
        put(tmp_path / "ok" / f"p{place}_side.png", place)
        put(tmp_path / "nok" / f"p{place}_top.png", 10 + place)
    groups = {record.path.name: record.group for record in check(tmp_path).records}
    assert len(set(groups.values())) == 3
    assert groups["p1_side.png"] == groups["p1_top.png"]


def test_numbers_that_begin_again_in_each_folder_are_other_parts(tmp_path: Path) -> None:
    for place, folder in enumerate(("m1/ok", "m2/ok", "m1/nok", "m2/nok")):
        put(tmp_path / folder / "p1_top.png", 2 * place)
        put(tmp_path / folder / "p1_side.png", 2 * place + 1)
    assert len({record.group for record in check(tmp_path).records}) == 4


def test_masks_are_labels_where_no_folder_names_one(tmp_path: Path) -> None:
    """As in KolektorSDD, whose folders are parts, and KolektorSDD2, whose folders are the split."""
    for place in range(4):
        put(tmp_path / "kos" / f"kos{place:02}" / "Part0.jpg", place)
        put(tmp_path / "two" / ("train" if place < 2 else "test") / f"{place}.png", place)
        for mask in (
            f"kos/kos{place:02}/Part0_label.bmp",
            f"two/{'train' if place < 2 else 'test'}/{place}_GT.png",
        ):
            Image.new("L", (96, 80), 255 if place % 2 else 0).save(tmp_path / mask)
    kos, two = check(tmp_path / "kos"), check(tmp_path / "two")
    assert sorted(record.label for record in kos.records) == [0, 0, 1, 1]
    assert all((record.mask is not None) == bool(record.label) for record in kos.records)
    assert Counter((r.split, r.label) for r in two.records) == {
        ("train", 0): 1, ("train", 1): 1, ("test", 0): 1, ("test", 1): 1,
    }  # fmt: skip
    assert "whose mask marks a pixel is a defect" in kos.as_text()
    (tmp_path / "kos" / "kos01" / "Part0_label.bmp").unlink()
    with pytest.raises(DataError, match="say what they are"):
        check(tmp_path / "kos")


def test_an_expression_names_the_part(tmp_path: Path) -> None:
    for place, name in enumerate(["nok/L7-001-x.png", "ok/L7-001-y.png", "ok/L7-002-x.png"]):
        put(tmp_path / name, place)
    report = check(Source(tmp_path, part=r"L7-(\d+)"))
    assert {r.path.name: r.group for r in report.records}["L7-001-x.png"] == "001"
    assert report.has_groups
    with pytest.raises(DataError, match="regular expression"):
        check(Source(tmp_path, part="("))


TABLES = {
    "semicolons and a byte order mark": "\ufefffile;label\r\n{a};nok\r\n{b};ok\r\n;;\r\n".encode(),
    "sep line": b"sep=;\r\nfile;label\r\n{a};nok\r\n{b};ok\r\n",
    "Windows code page": "Datei;file;label\r\nMüll;{a};nok\r\nÄrger;{b};ok\r\n".encode("cp1252"),
    "UTF-16": "file\tlabel\r\n{a}\tnok\r\n{b}\tok\r\n".encode("utf-16"),
    "other names": b'Filename,Class\n"{a}",NOK\n"{b}",OK\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_as_excel_writes_them_are_read(tmp_path: Path, name: str) -> None:
    put(tmp_path / "bilder" / "a.png", 1)
    put(tmp_path / "bilder" / "b.png", 2)
    slash = "\\"
    wide = "utf-16" if name == "UTF-16" else None
    text = TABLES[name]
    for key, file in (("{a}", f"bilder{slash}a.png"), ("{b}", f"bilder{slash}b.png")):
        old, new = (
            (key.encode("utf-16-le"), file.encode("utf-16-le")) if wide else (key.encode(), file.encode())
        )
        text = text.replace(old, new)
    (tmp_path / "images.csv").write_bytes(text)
    assert labels(tmp_path) == {"bilder/a.png": (1, ""), "bilder/b.png": (0, "")}


def test_visa_is_read_with_kinds_and_masks(tmp_path: Path) -> None:
    put(tmp_path / "candle" / "Data" / "Images" / "Normal" / "0.JPG", 1)
    put(tmp_path / "candle" / "Data" / "Images" / "Anomaly" / "0.JPG", 2)
    put(tmp_path / "candle" / "Data" / "Masks" / "Anomaly" / "0.png", 2, mask=True)
    (tmp_path / "candle" / "image_anno.csv").write_text(
        "image,label,mask\ncandle/Data/Images/Normal/0.JPG,normal,\n"
        "candle/Data/Images/Anomaly/0.JPG,melded wax,candle/Data/Masks/Anomaly/0.png\n"
    )
    table = listing(tmp_path / "candle")
    assert [(r.label, r.kind, r.mask is not None) for r in table.records] == [
        (0, "", False),
        (1, "melded wax", True),
    ]
    assert not table.ignored
    (tmp_path / "split_csv").mkdir()
    (tmp_path / "split_csv" / "1cls.csv").write_text(
        "object,split,label,image,mask\ncandle,train,normal,candle/Data/Images/Normal/0.JPG,\n"
        "candle,test,anomaly,candle/Data/Images/Anomaly/0.JPG,candle/Data/Masks/Anomaly/0.png\n"
    )
    whole = load(tmp_path / "split_csv" / "1cls.csv")
    assert [(r.label, r.split, r.path.is_file()) for r in whole] == [(0, "train", True), (1, "test", True)]


def test_a_word_that_a_table_does_not_explain_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("file;label\na.png;Ausschuss\n")
    with pytest.raises(DataError, match=r"line 2.*'Ausschuss'.*--defect WORD"):
        load(tmp_path)
    assert load(Source(tmp_path, Words(defect=("ausschuss",))))[0].label == 1
    (tmp_path / "images.csv").write_text("name;urteil\na.png;ok\n")
    with pytest.raises(DataError, match="no column file and no column label"):
        load(tmp_path)


def test_train_trains_what_check_passes(tmp_path: Path) -> None:
    for place in range(20):
        put(tmp_path / ("nok" if place % 2 else "ok") / f"{place}.png", place)
    put(tmp_path / "ok" / "deep.png", 50, sixteen=True)
    Image.new("L", (96, 80)).save(tmp_path / "nok" / "moving.gif")
    Image.new("L", (8, 8)).save(tmp_path / "nok" / "tiny.png")
    Image.new("L", (2000, 30)).save(tmp_path / "nok" / "strip.png")
    (tmp_path / "nok" / "notes.txt").write_text("no image")
    report = check(tmp_path)
    assert {name: reason.partition(":")[0] for name, reason in report.reasons.items()} == {
        "ok/deep.png": "unsupported_media",
        "nok/moving.gif": "unsupported_media",
        "nok/strip.png": "unsupported_media",
        "nok/tiny.png": "too_small",
    }
    assert "ok/deep.png" in report.as_text()
    pixels = decode_files([record.path for record in report.records], Preprocessing(24, 20, 1))
    assert len(pixels) == 20
    assert len(check(tmp_path, full_scale=51_000).records) == 21


def test_escapes_are_counted_for_each_kind() -> None:
    records = [Record(Path("a"), 1, "", kind=kind) for kind in ("scratch", "scratch", "dent")]
    records.append(Record(Path("b"), 0, ""))
    found = by_kind(records, np.array([0.1, 0.9, 0.4, 0.1]), OperatingPoint(0.5, 0.3, 0.6))
    assert found == {
        "scratch": {"images": 2, "escapes": 1, "escapes_after_review": 1},
        "dent": {"images": 1, "escapes": 1, "escapes_after_review": 0},
    }


def test_parts_named_for_some_images_alone_leave_the_parts_unknown(tmp_path: Path) -> None:
    lines = ["file;label;group"]
    for place in range(20):
        put(tmp_path / f"{place}.png", place // 2)  # pairs of the same image
        lines.append(f"{place}.png;{'ok' if place < 10 else 'nok'};{'p1' if place < 4 else ''}")
    (tmp_path / "images.csv").write_text("\n".join(lines))
    some = check(tmp_path)
    assert not some.knows_parts
    assert "9 groups (given for 4 images, else by likeness)" in some.as_text()
    (tmp_path / "images.csv").write_text("\n".join([lines[0], *(f"{line}x" for line in lines[1:])]))
    assert check(tmp_path).knows_parts
