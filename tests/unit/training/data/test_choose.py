"""The part that a training tests on, and whether it is cross-fitted."""

from dataclasses import replace
from pathlib import Path

import pytest

from training.crossfit import is_few
from training.data.choose import choose_split, given_test, set_aside
from training.data.records import Record
from training.data.report import Report
from training.options import Options
from training.proof.operating_point import Costs

OPTIONS = Options("m", Path("unused"))


def records(defects: int, good: int, split: str | None = None) -> list[Record]:
    names = [f"{split}-{place}.png" for place in range(defects + good)]
    return [Record(Path(name), int(place < defects), name, split, name) for place, name in enumerate(names)]


def test_a_given_test_part_is_not_learned_by_a_cross_fitted_training() -> None:
    train, held, test = records(20, 20, "train"), records(4, 4, "validation"), records(100, 300, "test")
    found = given_test(Report("parts", records=[*train, *held, *test]))
    assert found is not None
    learned, tested = found
    assert {record.split for record in learned} == {"train", "validation"}
    assert tested == test
    assert is_few(learned, OPTIONS)
    assert not is_few(records(60, 60), OPTIONS)
    assert not is_few(learned, replace(OPTIONS, split="grouped"))


def test_a_given_validation_part_of_one_label_is_replaced_and_that_is_said() -> None:
    train, held, test = records(70, 70, "train"), records(0, 30, "validation"), records(70, 70, "test")
    split, how = choose_split(Report("parts", records=[*train, *held, *test]), OPTIONS)
    assert {record.label for record in split.validation} == {0, 1}
    assert split.test == test
    assert how == "as the data names it, with a validation part of both labels in place of the named one"
    split, how = choose_split(Report("parts", records=[*train, *records(9, 9, "validation"), *test]), OPTIONS)
    assert {record.split for record in split.validation} == {"validation"}
    assert how == "as the data names it"


def test_a_promise_is_not_cross_fitted() -> None:
    few = records(40, 40)
    assert is_few(few, OPTIONS)
    assert not is_few(few, replace(OPTIONS, costs=Costs(max_escape_rate=0.2)))


def test_a_test_part_of_one_label_or_with_a_leak_is_no_test_part() -> None:
    train = records(20, 20, "train")
    assert given_test(Report("parts", records=train)) is None
    assert given_test(Report("parts", records=train + records(9, 0, "test"))) is None
    leaking = Report("parts", records=train + records(9, 9, "test"), leaks=[["a.png", "b.png"]])
    assert given_test(leaking) is None


def test_a_split_that_leaves_images_out_is_set_aside_and_that_is_said() -> None:
    every = records(70, 70, "train") + records(70, 70, "test") + records(2, 3)
    _, how = choose_split(Report("parts", records=every), OPTIONS)
    assert "names no part for 5 images" in how


@pytest.mark.parametrize(
    ("named", "leaks", "why"),
    [
        (records(9, 9), [], ""),
        (records(0, 9, "train") + records(9, 9, "test"), [], "has good images only to train on"),
        (records(9, 9, "train") + records(9, 0, "test"), [], "has a part of one label"),
        (records(9, 9, "train"), [], "names no test part"),
        (records(9, 9, "train") + records(9, 9, "test"), [["a", "b"]], "leaked 1 groups"),
    ],
)
def test_it_is_said_why_a_given_split_is_set_aside(
    named: list[Record], leaks: list[list[str]], why: str
) -> None:
    said = set_aside(Report("parts", records=named, leaks=leaks))
    assert why in said
    assert ("is set aside" in said) == bool(why)
