"""Like images are kept apart where a set shows parts again and nothing tells which: crops of few photographs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.registry.artifact import Artifact
from training.data.check import check
from training.data.choose import choose_split
from training.data.records import Record
from training.data.report import LikeImages, Report
from training.data.splits import part_hash
from training.guarding import parts_of
from training.kept_apart import keep_families_apart
from training.options import Options
from training.program import main
from training.teacher.families import are_enough, families_of

SIDE = 72


def photograph(rng: np.random.Generator) -> NDArray[np.float64]:
    """A texture with a grain, a light and a contrast of its own."""
    size = 6 * SIDE
    down, across = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    frequency = np.hypot(down * rng.uniform(0.3, 3), across * rng.uniform(0.3, 3))
    frequency[0, 0] = 1
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / frequency ** rng.uniform(0, 1.5)).real
    return np.asarray(rng.uniform(80, 180) + rng.uniform(10, 25) * (noise - noise.mean()) / noise.std())


def crops(folder: Path, *, photographs: int, each: int, split: bool = False) -> Path:
    """Crops of photographs that show one label each, under names that say nothing."""
    rng = np.random.default_rng(0)
    names = iter(rng.permutation(photographs * each))
    for number in range(photographs):
        pixels = photograph(rng)
        for crop in range(each):
            top, left = rng.integers(0, 5 * SIDE, 2)
            part = pixels[top : top + SIDE, left : left + SIDE] + rng.normal(0, 2, (SIDE, SIDE))
            side = ("train", "test")[crop % 2] if split else ""
            path = folder / side / ("bad" if number % 2 else "good") / f"{next(names)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.clip(0, 255).astype(np.uint8)).save(path)
    return folder


def looked_at(folder: Path, **choices: object) -> Report:
    looked = check(folder)
    keep_families_apart(looked, folder, Options("", Path(), **choices), lambda line: None)  # type: ignore[arg-type]
    return looked


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crops(tmp_path_factory.mktemp("few"), photographs=12, each=12)


def test_crops_of_few_photographs_become_groups_and_the_figures_tell_why(few: Path) -> None:
    looked = looked_at(few)
    worth = looked.like_images
    assert worth is not None
    assert worth.right > 0.9 and worth.apart < worth.right - 0.1 and worth.apart_good < worth.right_good - 0.1
    assert 8 <= looked.families <= 12
    assert len({record.group for record in looked.records}) == looked.families


def test_check_tells_them_in_words_and_as_json(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(few)]) == 0
    shown = capsys.readouterr().out
    assert "where like images are kept apart" in shown and "families of like images" in shown
    assert main(["check", "--json", str(few)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["families"] == found["groups"] > 0
    assert found["like_images"]["apart"] < found["like_images"]["right"]


def test_images_that_each_show_another_part_keep_their_groups(tmp_path: Path) -> None:
    looked = looked_at(crops(tmp_path, photographs=120, each=1))
    assert looked.like_images is not None and looked.families == 0
    assert len({record.group for record in looked.records}) == 120


def test_the_split_of_a_training_with_families_is_found_again(few: Path) -> None:
    looked = looked_at(few)
    split, _ = choose_split(looked, Options("", Path()))
    data = looked.as_json() | {"split": "random", "test_sha256": part_hash(split.test)}
    card = {"training": {"preset": "recipe", "seed": 0}, "data": data, "network": {"kind": "residual"}}
    artifact = SimpleNamespace(name="crops", card=card, preprocessing=SimpleNamespace(full_scale=None))
    found = parts_of(cast("Artifact", artifact), few)
    assert [[record.path for record in part] for part in found] == [
        [record.path for record in part] for part in (split.train, split.validation, split.test)
    ]


@pytest.mark.parametrize("choices", [{"split": "random"}, {"preset": "original"}, {"teacher": False}])
def test_a_person_may_leave_them_on_both_sides(few: Path, choices: dict[str, object]) -> None:
    looked = looked_at(few, **choices)
    assert looked.like_images is None and looked.families == 0


def test_named_parts_are_not_asked(few: Path) -> None:
    looked = check(few)
    looked.has_groups = True
    keep_families_apart(looked, few, Options("", Path()), lambda line: None)
    assert looked.like_images is None and looked.families == 0


def test_a_given_split_that_shows_families_on_both_sides_leaks(tmp_path: Path) -> None:
    folder = crops(tmp_path, photographs=10, each=12, split=True)
    assert check(folder).leaks == []
    assert looked_at(folder).leaks


def features(families: int, each: int, *, between: float) -> tuple[NDArray[np.float32], list[Record]]:
    """Images of families `between` which lies so much more than inside one, each family of one label."""
    rng = np.random.default_rng(1)
    family = np.repeat(np.arange(families), each)
    middles = rng.normal(0, between, (families, 40))
    values = middles[family] + rng.normal(0, 1, (len(family), 40))
    records = [Record(Path(str(i)), int(number % 2), str(i)) for i, number in enumerate(family)]
    return values.astype(np.float32), records


def worth_of(values: NDArray[np.float32], records: list[Record]) -> LikeImages:
    return families_of(values, records).worth


def test_figures_of_families_that_lie_apart_are_far_too_good() -> None:
    worth = worth_of(*features(20, 20, between=3.0))
    assert worth.tell_too_much and worth.right > 0.98 and worth.apart < 0.8


def test_images_without_families_are_judged_nearly_as_well_without_the_likest() -> None:
    values, records = features(400, 1, between=0.0)
    values[:, 0] += 3.0 * np.array([record.label for record in records], np.float32)
    worth = worth_of(values, records)
    assert not worth.tell_too_much
    assert worth.right - worth.apart < 0.06


def test_kinds_of_defects_are_no_parts_seen_again() -> None:
    """Good images are one cloud, and each kind of defect a small one of its own."""
    values, records = features(400, 1, between=0.0)
    kinds = np.random.default_rng(2).normal(0, 4, (4, 40))
    values += np.stack([kinds[i // 2 % 4] * record.label for i, record in enumerate(records)])
    worth = worth_of(values, records)
    assert worth.apart < worth.right - 0.1, "a kind that no model has seen is not told"
    assert worth.apart_good > 0.95 and not worth.tell_too_much


def test_a_group_lies_in_one_family() -> None:
    values, records = features(20, 20, between=3.0)
    found = families_of(values, records)
    pairs = [Record(record.path, record.label, str(i // 2)) for i, record in enumerate(records)]
    numbers = found.of(values, pairs).reshape(-1, 2)
    assert (numbers[:, 0] == numbers[:, 1]).all()


def test_few_images_and_few_of_a_label_tell_nothing() -> None:
    _, records = features(20, 20, between=3.0)
    assert are_enough(records) and not are_enough(records[:99])
    good = [Record(record.path, int(i < 19), record.group) for i, record in enumerate(records)]
    assert not are_enough(good)
