"""Folders and tables as they come from cameras, benchmarks and Excel."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Preprocessing
from training.data.check import check
from training.data.choose import choose_split
from training.data.load import listing, load
from training.data.pixels import decode_files, decode_masks
from training.data.records import DataError, Record, Source
from training.data.words import Words
from training.options import Options
from training.proof.kinds import by_kind


def put(path: Path, seed: int = 0, *, mask: bool = False, sixteen: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 9), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((96, 80), Image.Resampling.BICUBIC)
    if mask:
        image = image.point([255 if value > 200 else 0 for value in range(256)])
    if sixteen:
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 200)
    image.save(path)
    return path


def labels(folder: Path, words: Words | None = None) -> dict[str, tuple[int, str]]:
    records = load(Source(folder, words or Words()))
    return {r.path.relative_to(folder).as_posix(): (r.label, r.kind) for r in records}


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


@pytest.mark.parametrize(
    ("bad", "good"),
    [("ko", "ok"), ("NOK", "OK"), ("niO", "iO"), ("fail", "pass"), ("anomaly", "normal"), ("Not OK", "ok")],
)
def test_usual_words_of_a_factory_are_labels(tmp_path: Path, bad: str, good: str) -> None:
    put(tmp_path / "line 1" / bad / "a.png", 1)
    put(tmp_path / "line 1" / good / "b.png", 2)
    assert labels(tmp_path) == {f"line 1/{bad}/a.png": (1, ""), f"line 1/{good}/b.png": (0, "")}


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("defective", "not_defective"), ("anomaly", "no anomaly"), ("defects", "free of defects"), ("not good", "good"),
        ("nicht ok", "ok"), ("anomalous", "non-anomalous"), ("N.i.O.", "i.O."), ("Anomaly", "anomaly_free"),
    ],
)  # fmt: skip
def test_a_denied_word_is_the_other_label(tmp_path: Path, bad: str, good: str) -> None:
    put(tmp_path / bad / "a.png", 1)
    put(tmp_path / good / "b.png", 2)
    assert labels(tmp_path) == {f"{bad}/a.png": (1, ""), f"{good}/b.png": (0, "")}


def test_a_word_is_found_however_its_accents_are_written(tmp_path: Path) -> None:
    forms: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
    for form in forms:
        put(tmp_path / form / unicodedata.normalize(form, "défaut") / "a.png", 1)
        put(tmp_path / form / unicodedata.normalize(form, "sans défaut") / "b.png", 2)
    for form in forms:
        given = Words((unicodedata.normalize(form, "sans défaut"),), (unicodedata.normalize(form, "défaut"),))
        assert Counter(record.label for record in load(Source(tmp_path, given))) == {0: 2, 1: 2}


def test_a_word_with_both_meanings_is_refused() -> None:
    with pytest.raises(ValueError, match="--good and --defect both name ok"):
        Words(("OK",), ("ok",))


def test_an_expression_that_finds_no_part_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "ok" / "p1_a.png", 1)
    with pytest.raises(DataError, match=r"--part 'q.*' finds no part in any path, such as ok/p1_a.png"):
        load(Source(tmp_path, Words(), r"q(\d)"))
    assert [record.group for record in load(Source(tmp_path, Words(), r"p(\d)"))] == ["1"]


def test_a_folder_without_labels_names_the_table_that_lies_in_it(tmp_path: Path) -> None:
    put(tmp_path / "img" / "a.png", 1)
    (tmp_path / "line 1.csv").write_text("file;label\nimg/a.png;ok\n")
    with pytest.raises(DataError, match=r"give its path: line 1\.csv; images lie in img"):
        load(tmp_path)


def test_a_table_of_files_that_are_not_there_says_where_it_looked(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("file;label\nC:\\cam\\a.png;ok\nC:\\cam\\b.png;nok\n")
    with pytest.raises(DataError, match="not one of its 2 files is there"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("bad", "good"), [("1,0", "0,0"), ("1.0", "0.0"), ("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("TRUE", "FALSE")]
)
def test_cells_of_a_spreadsheet_are_labels(tmp_path: Path, bad: str, good: str) -> None:
    for name in "ab":
        put(tmp_path / f"{name}.png", ord(name))
    (tmp_path / "images.csv").write_text(f"file;label\na.png;{bad}\nb.png;{good}\n")
    assert [record.label for record in load(tmp_path)] == [1, 0]


def test_other_words_are_given_and_those_that_no_word_matches_are_named(tmp_path: Path) -> None:
    for place, folder in enumerate(("MT_Free", "MT_Crack", "MT_Fray", "extra")):
        put(tmp_path / folder / "Imgs" / "a.png", place)
    with pytest.raises(DataError, match=r"MT_Crack/Imgs \(1\).*--good NAME and --defect NAME"):
        load(tmp_path)
    words = Words(good=("mt_free",), defect=("MT_*",))
    assert labels(tmp_path, words) == {
        "MT_Crack/Imgs/a.png": (1, "MT_Crack"),
        "MT_Fray/Imgs/a.png": (1, "MT_Fray"),
        "MT_Free/Imgs/a.png": (0, ""),
    }
    report = check(Source(tmp_path, words))
    assert "extra/Imgs (1)" in report.as_text()


def test_folders_below_a_defect_folder_are_kinds_and_numbers_are_not(tmp_path: Path) -> None:
    put(tmp_path / "bad" / "scratch" / "2024" / "a.png", 1)
    put(tmp_path / "bad" / "17" / "b.png", 2)
    put(tmp_path / "good" / "17" / "c.png", 3)
    assert labels(tmp_path) == {
        "bad/scratch/2024/a.png": (1, "scratch"),
        "bad/17/b.png": (1, ""),
        "good/17/c.png": (0, ""),
    }


def test_linked_folders_are_followed_and_a_ring_ends(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "a.png", 1)
    put(tmp_path / "set" / "ok" / "b.png", 2)
    (tmp_path / "set" / "nok").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "ok" / "again").symlink_to(tmp_path / "set")
    assert labels(tmp_path / "set") == {"nok/a.png": (1, ""), "ok/b.png": (0, "")}


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
