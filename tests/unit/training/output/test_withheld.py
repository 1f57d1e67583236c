"""The interval for new parts is stated only where the parts that are judged are known to be new."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.training.data.files import put
from training.data.check import apart, check
from training.data.report import Report
from training.data.splits import Split, grouped_split, random_split
from training.output.withheld import why_not_new, withheld_lines

PARTS = [f"p{number}" for number in range(12)]


def photographed(folder: Path, parts: list[str], *, seed: int, named: bool = True) -> Path:
    """Two images of each part, every third part defective."""
    rows = []
    for place in range(2 * len(parts)):
        label = "no_defect" if place // 2 % 3 else "defect"
        file = put(folder / label / f"{place}.png", seed + place).relative_to(folder)
        rows.append((file.as_posix(), label, *([parts[place // 2]] if named else [])))
    with (folder / "images.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "label", *(["group"] if named else [])), *rows])
    return folder


@pytest.fixture
def looked(tmp_path: Path) -> Report:
    return check(photographed(tmp_path / "set", PARTS, seed=0))


def with_test(looked: Report, folder: Path) -> Split:
    split = grouped_split(looked.records, seed=0)
    return Split(split.train + split.test, split.validation, apart(folder, looked, say=lambda line: None))


def test_parts_that_are_split_as_wholes_are_new(looked: Report) -> None:
    assert withheld_lines(looked, grouped_split(looked.records, seed=0)) == []


def test_parts_of_a_random_split_are_not_new(looked: Report) -> None:
    [line] = withheld_lines(looked, random_split(looked.records, seed=1))
    assert "one part lie on both sides" in line


def test_each_part_of_a_cross_fitted_set_is_new_to_its_model(looked: Report) -> None:
    every = looked.records
    assert withheld_lines(looked, Split(every, every, every)) == []


def test_a_test_folder_of_other_parts_gives_the_interval(looked: Report, tmp_path: Path) -> None:
    others = photographed(tmp_path / "others", [f"q{number}" for number in range(6)], seed=50)
    assert withheld_lines(looked, with_test(looked, others)) == []


def test_a_test_folder_that_names_no_parts_gives_none(looked: Report, tmp_path: Path) -> None:
    split = with_test(looked, photographed(tmp_path / "others", PARTS, seed=50, named=False))
    assert why_not_new(looked, split, "validation") == ""
    [line] = withheld_lines(looked, split)
    assert line.startswith(
        "The test part gives no interval for new parts: no table tells the parts of others"
    )


def test_other_photographs_of_the_same_parts_are_not_new(looked: Report, tmp_path: Path) -> None:
    split = with_test(looked, photographed(tmp_path / "later", [*PARTS[:4], "q1", "q2"], seed=50))
    [line] = withheld_lines(looked, split)
    assert "later and set name the same parts (4: p0, p1, p2, …)" in line


def test_views_in_file_names_do_not_tell_the_parts_of_two_folders_apart(tmp_path: Path) -> None:
    for folder, labels in (("set", "ok nok"), ("later", "ok ok")):
        for place in range(20):
            for view, label in zip(("side", "top"), labels.split(), strict=True):
                put(
                    tmp_path / folder / label / f"p{place}_{view}.png",
                    seed=len(folder) * 100 + 2 * place + len(view),
                )
    views = check(tmp_path / "set")
    assert views.knows_parts
    assert why_not_new(views, with_test(views, tmp_path / "later"), "test").startswith(
        "no table tells the parts of set and later"
    )


def test_nothing_is_known_of_parts_that_nothing_names(looked: Report) -> None:
    unnamed = replace(looked, has_groups=False, named=0)
    [line] = withheld_lines(unnamed, grouped_split(looked.records, seed=0))
    assert line.startswith("The card gives no interval for new parts: the data names none")
