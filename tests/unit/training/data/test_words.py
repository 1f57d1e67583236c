"""Words that name a label, in folders, in tables and on the command line."""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from tests.unit.training.data.files import labels, put
from training.data.check import check
from training.data.load import load
from training.data.records import DataError, Source
from training.data.words import Words


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


@pytest.mark.parametrize(
    ("bad", "good"), [("1,0", "0,0"), ("1.0", "0.0"), ("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("TRUE", "FALSE")]
)
def test_cells_of_a_spreadsheet_are_labels(tmp_path: Path, bad: str, good: str) -> None:
    for name in "ab":
        put(tmp_path / f"{name}.png", ord(name))
    (tmp_path / "images.csv").write_text(f"file;label\na.png;{bad}\nb.png;{good}\n")
    assert [record.label for record in load(tmp_path)] == [1, 0]


@pytest.mark.parametrize(
    ("bad", "good"),
    [("ko", "ok"), ("NOK", "OK"), ("niO", "iO"), ("fail", "pass"), ("anomaly", "normal"), ("Not OK", "ok")],
)
def test_usual_words_of_a_factory_are_labels(tmp_path: Path, bad: str, good: str) -> None:
    put(tmp_path / "line 1" / bad / "a.png", 1)
    put(tmp_path / "line 1" / good / "b.png", 2)
    assert labels(tmp_path) == {f"line 1/{bad}/a.png": (1, ""), f"line 1/{good}/b.png": (0, "")}


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


def test_a_given_word_that_names_nothing_is_told(tmp_path: Path) -> None:
    put(tmp_path / "ok" / "a.png", 1)
    put(tmp_path / "nok" / "b.png", 2)
    words = Words(("OK", "gut"), ("n*", "Riss*"))
    assert "nothing is named gut, riss*" in check(Source(tmp_path, words)).as_text()
    (tmp_path / "images.csv").write_text("file;label\nok/a.png;gut\nnok/b.png;nok\n")
    assert "nothing is named ok, riss*" in check(Source(tmp_path, words)).as_text()
    assert "nothing is named" not in check(Source(tmp_path, Words(("gut",)))).as_text()
