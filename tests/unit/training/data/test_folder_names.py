"""The label and the kind that the names of folders tell, and images that are left out since those names don't agree."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.training.data.files import labels, lay, put
from training.data.check import check
from training.data.choose import choose_split
from training.data.load import listing
from training.data.records import DataError, Source
from training.data.report import report_of
from training.data.words import Words
from training.options import Options


def told(root: Path, words: Words | None = None) -> dict[str, tuple[int, str]]:
    """(label, kind) by folder."""
    return {path.rpartition("/")[0]: said for path, said in labels(root, words).items()}


def found_by(root: Path, words: Words | None = None) -> list[str]:
    source = Source(root, words or Words())
    return report_of(listing(source), source).left_out()


def test_kinds_next_to_good_are_told_where_the_given_folder_is_itself_the_test_part(tmp_path: Path) -> None:
    root = lay(tmp_path / "test", "good", "scratch", "dent")
    assert told(root) == {"good": (0, ""), "scratch": (1, "scratch"), "dent": (1, "dent")}


@pytest.mark.parametrize(
    ("name", "words", "label"),
    [
        ("photos_ok", Words(good=("photos_ok",)), 0),
        ("photos_ok", Words(good=("*_ok",)), 0),
        ("photos_ng", Words(defect=("photos_ng",)), 1),
        ("Good", Words(), 0),
    ],
)
def test_the_given_folder_labels_what_lies_in_it(tmp_path: Path, name: str, words: Words, label: int) -> None:
    listed = listing(Source(lay(tmp_path / name, "."), words))
    assert [record.label for record in listed.records] == [label, label]
    assert not listed.idle_words


def test_images_in_the_given_folder_itself_are_named_by_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images lie in photos_ok \(2\): say what they are with --good NAME"):
        listing(lay(tmp_path / "photos_ok", "."))
    lay(tmp_path / "photos_ok", "bad")
    assert "in photos_ok (2): --good NAME" in "\n".join(found_by(tmp_path / "photos_ok"))
    assert told(tmp_path / "photos_ok", Words(good=("photos_ok",))) == {"": (0, ""), "bad": (1, "")}


@pytest.mark.parametrize("name", ["test", "good", "defects", "defects_dataset", "MT_set"])
def test_the_name_of_the_given_folder_says_less_than_those_below_it(tmp_path: Path, name: str) -> None:
    root = lay(tmp_path / name, "good", "bad", "extra")
    assert told(root, Words(defect=("MT_*",))) == {"good": (0, ""), "bad": (1, "")}


@pytest.mark.parametrize(
    ("folders", "agree"),
    [
        (
            ["OK/positive", "OK/negative", "NG/positive", "NG/negative"],
            {"OK/negative": (0, ""), "NG/positive": (1, "")},
        ),
        (["OK/normal", "NG/normal", "NG/albedo"], {"OK/normal": (0, ""), "NG/albedo": (1, "albedo")}),
        (["good", "defect/no_crack", "defect/good"], {"good": (0, ""), "defect/no_crack": (1, "no_crack")}),
        (
            ["a/test/good", "a/test/scratch", "a/test/scratch/good"],
            {"a/test/good": (0, ""), "a/test/scratch": (1, "scratch")},
        ),
    ],
)
def test_images_are_left_out_and_named_where_their_folders_name_both_labels(
    tmp_path: Path, folders: Sequence[str], agree: dict[str, tuple[int, str]]
) -> None:
    root = lay(tmp_path / "set", *folders)
    assert told(root) == agree
    lines = found_by(root)
    for folder in {*folders} - agree.keys():
        assert f"{folder} (2)" in lines[1]
    assert "folders name both labels, left out: " in check(root).as_text()


def test_a_set_whose_folders_all_name_both_labels_is_refused_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"both labels above NG/normal \(2\): rename a folder, or list"):
        listing(lay(tmp_path / "set", "NG/normal"))


def test_a_word_that_a_person_gives_for_the_nearest_folder_decides(tmp_path: Path) -> None:
    root = lay(tmp_path, "defects/clean", "defects/scratch")
    assert told(root, Words(good=("clean",))) == {"defects/clean": (0, ""), "defects/scratch": (1, "scratch")}


def test_numbers_are_no_labels_where_a_word_labels_an_image(tmp_path: Path) -> None:
    names = [f"{machine}/{word}" for machine in range(3) for word in ("good", "bad", "unclear")]
    root = lay(tmp_path, *names)
    assert {path.rpartition("/")[2] for path in told(root)} == {"good", "bad"}
    two = lay(tmp_path / "two", "0/good", "1/good", "1/unclear")
    assert told(two) == {"0/good": (0, ""), "1/good": (0, "")}


@pytest.mark.parametrize("parts", [["0", "1", "2"], ["train/0", "train/1", "train/2"]])
def test_numbers_are_no_labels_next_to_other_numbers(tmp_path: Path, parts: list[str]) -> None:
    with pytest.raises(DataError, match="say what they are"):
        listing(lay(tmp_path, *parts))
    for number, part in enumerate(parts):
        for place in range(2):
            put(tmp_path / part / f"{place}_label.bmp", 7 + number, mask=True)
    assert listing(tmp_path).labelled_by_masks


def test_numbers_of_one_path_that_differ_are_no_label(tmp_path: Path) -> None:
    root = lay(tmp_path, "0/0", "0/1", "1/1")
    assert told(root) == {"0/0": (0, ""), "1/1": (1, "")}
    assert len(listing(root).disputed) == 2


def test_kinds_below_test_are_kinds_below_the_other_parts_of_the_split(tmp_path: Path) -> None:
    kinds = ("good", "scratch", "dent")
    root = lay(tmp_path, *(f"a/{part}/{kind}" for part in ("train", "val", "test") for kind in kinds))
    lay(tmp_path, "a/train/unsorted", "b/train/scratch", "b/train/good", "b/test/good")
    listed = listing(root)
    counts = Counter((record.split, record.kind) for record in listed.records if record.label)
    assert counts == {(part, kind): 2 for part in ("train", "validation", "test") for kind in kinds[1:]}
    assert {path.parent.relative_to(root).as_posix() for path in listed.ignored} == {
        "a/train/unsorted",
        "b/train/scratch",
    }


def test_a_split_with_kinds_in_each_part_is_used(tmp_path: Path) -> None:
    for number in range(6):
        part, kind = divmod(number, 3)
        for place in range(6):
            folder = tmp_path / ("train", "test")[part] / ("good", "scratch", "dent")[kind]
            put(folder / f"{place}.png", 50 * number + place)
    _, how = choose_split(check(tmp_path), Options(name="", output=tmp_path))
    assert how == "as the data names it"


def test_a_word_for_one_kind_leaves_the_others_kinds(tmp_path: Path) -> None:
    root = lay(tmp_path, "test/good", "test/scratch", "test/dent")
    assert told(root, Words(defect=("scratch",))) == told(root)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("NG/2024-05-03", ""), ("NG/03.05.24", ""), ("NG/20240503_late", ""), ("NG/BX/S0012", "BX"),
        ("NG/S0012/BX", "BX"), ("bad/scratch/cam1", "scratch"), ("bad/cam 1/scratch", "scratch"),
        ("bad/lot-7/view2", ""), ("bad/Line_3/shift2", ""), ("bad/scratch/deep", "scratch"), ("bad/p017", ""),
        ("bad/hairline 2", "hairline 2"), ("bad/hole_2mm", "hole_2mm"), ("test/scratch/big", "scratch"),
        ("test/scratch/cam1", "scratch"),
    ],
)  # fmt: skip
def test_the_first_folder_that_can_name_a_kind_is_the_kind(tmp_path: Path, folder: str, kind: str) -> None:
    root = lay(tmp_path, "test/good", folder)
    assert told(root)[folder] == (1, kind)
