"""The split of good parts: whole groups, no learned defect, and a refusal before anything is written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data.records import DataError, Record
from training.data.splits import Split
from training.good.split import good_split
from training.options import Options
from training.pipeline import train_folder


def records(*groups: tuple[str, int, int], split: str | None = None) -> list[Record]:
    """Groups by name, number of good images and number of defects."""
    made = [
        Record(Path(f"{name}-{place}.png"), int(place >= good), name, split)
        for name, good, defects in groups
        for place in range(good + defects)
    ]
    return [replace(record, identity=record.path.name) for record in made]


def singles(count: int, name: str = "good") -> list[tuple[str, int, int]]:
    return [(f"{name}{place:03}", 1, 0) for place in range(count)]


def groups_of(part: list[Record]) -> set[str]:
    return {record.group for record in part}


def disjoint(split: Split) -> bool:
    parts = [groups_of(part) for part in (split.train, split.validation, split.test)]
    return sum(len(part) for part in parts) == len(set.union(*parts)) and not any(
        record.label for record in split.train
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_part_with_a_good_and_a_defective_image_stays_on_one_side(seed: int) -> None:
    flawed = [(f"flawed{place}", 1, 1) for place in range(3)]
    every = records(*singles(40), ("part17", 1, 1), *flawed, ("bad1", 0, 1), ("bad2", 0, 1))
    split, how = good_split(every, seed=seed)
    assert disjoint(split)
    assert sum(record.label for record in split.validation + split.test) == 6
    assert sum(record.label for record in split.test) == 3
    assert "left out" not in how


def test_half_of_the_good_images_are_learned_and_the_defects_of_their_groups_left_out_and_counted() -> None:
    split, how = good_split(records(("much", 60, 3), ("little", 2, 2), *singles(20)), seed=0)
    assert disjoint(split)
    assert "much" in groups_of(split.train)
    assert groups_of(split.test) >= {"little"}
    assert "left out are 3 defects" in how


@pytest.mark.parametrize("count", [4, 5, 7, 10, 15, 20, 60, 200])
def test_each_part_of_few_groups_holds_what_it_needs(count: int) -> None:
    split, _ = good_split(records(*((name, 3, 0) for name, _, _ in singles(count))), seed=1)
    assert disjoint(split)
    learned, held, test = (len(groups_of(part)) for part in (split.train, split.validation, split.test))
    assert learned >= 1
    assert held >= (5 if count >= 15 else 2)
    assert test == -(-count // 7)
    assert learned + held + test == count


def test_the_defects_of_a_given_test_part_stay_in_it() -> None:
    train = records(*singles(30), split="train")
    test = records(*singles(5, "held"), *((f"bad{place}", 0, 1) for place in range(9)), split="test")
    split, how = good_split(train + test, seed=0)
    assert {record.path for record in split.test} == {record.path for record in test}
    assert not any(record.label for record in split.validation)
    assert "the one that the data names" in how


def test_good_groups_join_a_given_test_part_of_defects_alone() -> None:
    test = records(*((f"bad{place}", 0, 1) for place in range(9)), split="test")
    split, how = good_split(records(*singles(28), split="train") + test, seed=0)
    assert sum(record.label for record in split.test) == 9
    assert sum(not record.label for record in split.test) == 4
    assert how.endswith("with good groups added")


def test_a_group_on_both_sides_of_a_given_split_is_no_test_part() -> None:
    every = records(*singles(30), ("both", 1, 0), split="train")
    every += [replace(record, path=Path("x.png")) for record in records(("both", 0, 1), split="test")]
    every += records(*singles(5, "held"), split="test")
    split, _ = good_split(every, seed=0)
    assert disjoint(split)
    assert "both" in groups_of(split.validation)


def test_beside_a_test_folder_every_defect_helps_to_set_the_threshold() -> None:
    split, _ = good_split(records(*singles(30), *((f"bad{n}", 0, 1) for n in range(9))), seed=0, tested=True)
    assert split.test == []
    assert sum(record.label for record in split.validation) == 9


def test_the_defects_of_a_single_part_are_tested() -> None:
    split, _ = good_split(records(*singles(30), ("bad", 0, 40)), seed=0)
    assert sum(record.label for record in split.test) == 40


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_groups_are_refused_with_the_number_that_is_needed(count: int) -> None:
    every = records(*((name, 20, 0) for name, _, _ in singles(count)))
    with pytest.raises(DataError, match=rf"show {count} groups .* at least 4 are needed"):
        good_split(every, seed=0)
    if count < 3:
        with pytest.raises(DataError, match="at least 3 are needed, one to learn"):
            good_split(every, seed=0, tested=True)


def table(folder: Path, parts: int) -> Path:
    """Twelve good images of noise, and a table that names their parts."""
    rng = np.random.default_rng(0)
    lines = ["file,label,group"]
    for place in range(12):
        Image.fromarray(rng.integers(0, 256, (24, 24), np.uint8)).save(folder / f"{place}.png")
        lines.append(f"{place}.png,good,part{place % parts}")
    (folder / "images.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(("parts", "reason"), [(2, "show 2 groups"), (12, "is not installed")])
def test_nothing_is_written_where_nothing_can_be_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int, reason: str
) -> None:
    monkeypatch.setattr("training.teacher.weights.PACKAGE", "no_such_package")
    options = Options("m", tmp_path / "run")
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match=reason):
        train_folder(table(tmp_path / "set", parts), options, say=lambda line: None)
    assert not options.output.exists()
