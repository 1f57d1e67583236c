"""The pipeline's own ceiling: an engine that computes nothing and sleeps as long as a fast GPU would take.

It says where the pipeline would hold such a GPU up. It is no GPU result: no image is copied to a device, and no
kernel competes for the memory.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import bare, bulk, images
from bench.table import Row
from shared.registry.artifact import Artifact
from tests.harness.hooks import child_environment

IMAGES_A_SECOND = 20_000


class SleepingEngine:
    """Takes the time of a GPU and none of a core; every logit is 0."""

    name, device, threads = "sleeping", "cpu", 0

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See worker.inference.engines.load.Engine."""
        time.sleep(len(images) / IMAGES_A_SECOND)
        return np.zeros(len(images), np.float32)


def install() -> None:
    """Put the sleeping engine in this process in place of every other."""
    import worker.inference.engines.load

    def load(*_: Any, **__: Any) -> SleepingEngine:
        return SleepingEngine()

    worker.inference.engines.load.load_engine = load  # type: ignore[assignment]


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    """Every process that starts meanwhile has the sleeping engine."""
    before = dict(os.environ)
    os.environ.update(child_environment("bench.sleeping:install"))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure(name: str, model: Artifact, found: list[Path], scratch: Path, count: int) -> list[Row]:
    """A row: the pipeline with that engine, as a share of what the decoder alone allows on these cores."""
    yardstick = bare.Yardstick(model.path, found)
    folder = images.folder_of(found, count, scratch / "in")
    with _installed(), bulk.service(scratch / "stack", model.path) as stack:
        bulk.submit(stack, folder, count)
        turns = [(yardstick.measure().decode_ms, bulk.submit(stack, folder, count)) for _ in range(3)]
    decode_ms = sorted(alone for alone, _ in turns)[1]
    run = sorted((each for _, each in turns), key=lambda each: each.speed)[1]
    ceiling = min(1000 * (os.cpu_count() or 1) / decode_ms, float(IMAGES_A_SECOND))
    spent = sorted(run.cpu_ms.items(), key=lambda entry: -entry[1])
    note = f"decode {decode_ms:.3f} ms; CPU ms an image: " + ", ".join(
        f"{part} {ms:.3f}" for part, ms in spent if ms >= 0.002
    )
    return [
        Row(f"an engine that sleeps at {IMAGES_A_SECOND:,} images/s (no GPU), {name}: share of what decoding allows",
            run.speed, "images/s", ratio=run.speed / ceiling, note=note),
    ]  # fmt: skip
