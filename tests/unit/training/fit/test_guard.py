"""A guard fitted on a small set: its own kind passes, and images of anything else do not."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.registry.artifact import Preprocessing, read_artifact
from shared.vision.describe import VERSION
from shared.vision.graph import Graph
from shared.vision.guard import Guard, read_guard
from tests.harness.artifacts import write_untrained
from training.fit.guard import TRACED, FeaturesOf, features_in, fit_guard, flagged_share
from training.fit.guarded import guard_for
from training.synthetic.strangers import KINDS, strangers

SIDE = 24


def features_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A stand-in for a network: the mean of each of 16 tiles, and the mean and the largest slope in each."""
    grey = images[..., 0].astype(np.float32)
    down, across = np.abs(np.diff(grey, axis=1, append=0)), np.abs(np.diff(grey, axis=2, append=0))
    tiles = [
        values.reshape(len(images), 4, SIDE // 4, 4, SIDE // 4)
        .transpose(0, 1, 3, 2, 4)
        .reshape(len(images), 16, -1)
        for values in (grey, down, across)
    ]
    found = [tiles[0].mean(2), *(each.mean(2) for each in tiles[1:]), *(each.max(2) for each in tiles[1:])]
    return np.concatenate(found, axis=1, dtype=np.float32)


def rings(count: int, seed: int) -> NDArray[np.uint8]:
    """Bright rings on a dark ground, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    images = np.empty((count, SIDE, SIDE, 1), np.uint8)
    for image in images:
        away = np.hypot(y - 12 + rng.normal(0, 0.7), x - 12 + rng.normal(0, 0.7))
        level = 60 + 110 * np.exp(-(((away - rng.uniform(6, 8)) / 2) ** 2)) * rng.uniform(0.8, 1.2)
        image[..., 0] = np.clip(level + rng.normal(0, 5, level.shape), 0, 255)
    return images


def share(guard: Guard, images: NDArray[np.uint8], of: FeaturesOf) -> float:
    return flagged_share(guard, images, features_in(images, of))


@pytest.fixture(scope="module", params=[VERSION, TRACED])
def guard(request: pytest.FixtureRequest) -> Guard:
    return fit_guard(rings(300, 1), rings(400, 2), features_of, version=request.param, most_strangers=2000)


def test_about_one_in_a_hundred_of_its_own_kind_is_flagged(guard: Guard) -> None:
    assert share(guard, rings(400, 2), features_of) <= 0.01
    assert share(guard, rings(1000, 3), features_of) <= 0.03


@pytest.mark.parametrize("level", [0, 1, 60, 128, 254, 255])
def test_a_blank_frame_is_flagged(guard: Guard, level: int) -> None:
    blank = np.full((1, SIDE, SIDE, 1), level, np.uint8)
    assert [bool(reasons) for reasons in guard.judge(blank, features_of(blank))] == [True]


def test_strangers_of_every_kind_are_flagged(guard: Guard) -> None:
    flagged: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for images, kinds in strangers(rings(50, 4), 600, seed=9):
        for kind, reasons in zip(kinds, guard.judge(images, features_of(images)), strict=True):
            flagged[kind].append(bool(reasons))
    assert np.mean([hit for found in flagged.values() for hit in found]) > 0.95
    # A slight defocus changes rings that are soft themselves but little.
    missed = {kind: np.mean(found) for kind, found in flagged.items() if np.mean(found) < 0.7}
    assert missed == {}


def rods(count: int, seed: int) -> NDArray[np.uint8]:
    """Bright upright rods in the middle of a dark ground, with noise."""
    rng = np.random.default_rng(seed)
    x = np.arange(SIDE)
    images = np.empty((count, SIDE, SIDE, 1), np.uint8)
    for image in images:
        level = 60 + 110 * (np.abs(x - 11.5 - rng.normal(0, 0.4)) < rng.uniform(3, 4)) * rng.uniform(0.8, 1.2)
        image[..., 0] = np.clip(level + rng.normal(0, 5, (SIDE, SIDE)), 0, 255)
    return images


def test_a_part_that_lies_elsewhere_is_flagged_though_the_feature_is_pooled() -> None:
    """A network's trace tells what is there, and not where."""

    def pooled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        tiles = features_of(images).reshape(len(images), 5, 16)
        return np.concatenate([tiles.mean(2), tiles.max(2)], axis=1)

    guard = fit_guard(rods(80, 1), rods(100, 2), pooled, version=TRACED, most_strangers=1000)
    own = rods(100, 3)
    moved, turned = np.full_like(own, 60), own.transpose(0, 2, 1, 3)
    moved[:, :, SIDE // 4 :] = own[:, :, : -SIDE // 4]
    assert share(guard, own, pooled) <= 0.05
    assert min(share(guard, changed, pooled) for changed in (moved, turned)) > 0.95


def in_many_lights(count: int, seed: int) -> NDArray[np.uint8]:
    """Rings at half to one and a half times the light, with a camera's noise."""
    rng = np.random.default_rng(seed)
    lit = rings(count, seed) * rng.uniform(0.5, 1.4, (count, 1, 1, 1))
    return np.clip(lit + rng.normal(0, 1, lit.shape), 0, 255).astype(np.uint8)


def test_a_set_of_many_lights_does_not_make_its_images_pass_in_the_dark() -> None:
    guard = fit_guard(in_many_lights(300, 1), in_many_lights(400, 2), features_of, most_strangers=2000)
    own = in_many_lights(400, 3)
    assert share(guard, own, features_of) <= 0.03
    assert share(guard, (own * 0.25).astype(np.uint8), features_of) > 0.6


def test_the_same_set_and_seed_give_the_same_guard() -> None:
    first, second = (
        fit_guard(rings(40, 1), rings(30, 2), features_of, most_strangers=500).as_bytes() for _ in range(2)
    )
    assert first == second
    read_guard(first, Preprocessing(SIDE, SIDE, 1))


def test_a_set_of_twenty_images_gets_a_guard_that_flags_few_of_its_kind() -> None:
    guard = fit_guard(rings(20, 1), rings(6, 2), features_of)
    assert share(guard, rings(200, 3), features_of) < 0.2
    noise = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE, 1)).astype(np.uint8)
    assert share(guard, noise, features_of) == 1.0


def test_the_features_of_each_part_are_taken_once(tmp_path: Path) -> None:
    artifact = read_artifact(write_untrained(tmp_path / "a.gonogo", size=SIDE))
    seen: Counter[bytes] = Counter()

    class Counting(Graph):
        def logits_and_features(
            self, images: NDArray[np.uint8]
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            seen.update(image.tobytes() for image in images)
            return super().logits_and_features(images)

    graph = Counting(artifact, threads=1)
    train, validation, test = rings(40, 1), rings(30, 2), rings(30, 3)
    guarded = guard_for(graph, artifact, train, validation, test, seed=0, slow=True)
    assert {seen[image.tobytes()] for part in (train, validation, test) for image in part} == {1}
    seen.clear()
    again = guard_for(graph, artifact, train, validation, validation, seed=0, slow=True)
    assert {seen[image.tobytes()] for image in validation} == {1}
    assert again.guard == guarded.guard
    assert guarded.card["flagged_of_test"] is not None
    assert again.card["flagged_of_test"] is None, "what set the bounds tells nothing of fresh images"
