"""A loaded model predicts several micro-batches in one call: the guard judges them together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.contract.states import Reason
from shared.registry.artifact import Preprocessing, read_artifact
from shared.vision.guard import read_guard
from tests.harness.artifacts import open_guard
from worker.inference.loaded import LoadedModel

SPEC = Preprocessing(24, 40, 1)


class Counting:
    """An engine whose logit and features are the first pixels; notes how many images each call has."""

    name, device, threads = "counting", "cpu", 1

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.calls.append(len(images))
        return images[:, 0, 0, 0].astype(np.float32)

    def predict_with_features(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.predict(images), images[:, 0, :8, 0].astype(np.float32)

    def explain(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        raise NotImplementedError


def model(artifact: Path, *, guarded: bool) -> tuple[LoadedModel, Counting]:
    engine = Counting()
    guard = read_guard(open_guard(SPEC, features=8, least_contrast=5), SPEC) if guarded else None
    return LoadedModel(
        replace(read_artifact(artifact), preprocessing=SPEC), engine, guard, micro_batch=4
    ), engine


@pytest.mark.parametrize("guarded", [False, True])
def test_the_engine_gets_micro_batches_and_the_answers_are_those_of_single_images(
    artifact: Path, guarded: bool
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 40, 24, 1)).astype(np.uint8)
    images[5] = 90
    loaded, engine = model(artifact, guarded=guarded)
    together = loaded.predict(images)
    assert engine.calls == [4, 4, 2]
    assert [one.unlike for one in together] == [
        (Reason.BLANK,) if guarded and place == 5 else () for place in range(10)
    ]
    assert together == [loaded.predict(images[place : place + 1])[0] for place in range(10)]


def test_large_images_are_predicted_in_fewer_at_a_time(artifact: Path) -> None:
    loaded, _ = model(artifact, guarded=True)
    sides = {64: 32, 1024: 16, 2048: 4, 4096: 4}
    found = {
        side: replace(
            loaded, artifact=replace(loaded.artifact, preprocessing=Preprocessing(side, side, 1))
        ).together
        for side in sides
    }
    assert found == sides
