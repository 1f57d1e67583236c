"""`python -m bench.guard_cost`: the guard's share of the bare loop, in CPU time on one core, for each shipped model."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from bench import images
from shared.registry.artifact import Artifact
from shared.vision.guard import read_guard
from shared.vision.preprocess import decode
from worker.inference.engines.load import load_engine
from worker.inference.loaded import LoadedModel

_IMAGES = 256


def measure(artifact: Artifact, files: list[Path], rounds: int) -> tuple[float, float]:
    """Microseconds of CPU an image: decode and predict, and the guard on top; medians of turns in one process."""
    stored = artifact.guard()
    assert stored is not None
    guard, engine = read_guard(stored, artifact.preprocessing), load_engine(artifact, device="cpu", threads=1)
    sources = [path.read_bytes() for path in files[:_IMAGES]]
    size = LoadedModel(artifact, engine, guard).together
    bare, more = [], []
    for _ in range(rounds + 1):
        times = [0.0, 0.0]
        for first in range(0, len(sources), size):
            started = time.process_time()
            pixels = np.stack(
                [decode(data, artifact.preprocessing) for data in sources[first : first + size]]
            )
            _, features = engine.predict_with_features(pixels)
            between = time.process_time()
            guard.judge(pixels, features)
            times[0] += between - started
            times[1] += time.process_time() - between
        bare.append(1e6 * times[0] / len(sources))
        more.append(1e6 * times[1] / len(sources))
    return median(bare[1:]), median(more[1:])


def main() -> int:
    """Print a row for each shipped model whose images are present."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gonogo-bench")
    asked = parser.parse_args()
    asked.data.mkdir(parents=True, exist_ok=True)
    found = {"rendered-parts": images.rendered(asked.data, 300), "solar-modules": images.solar(asked.data)}
    print("| model | decode and predict | guard | share |\n|---|---|---|---|")
    for name, files in found.items():
        if files is not None:
            bare, more = measure(images.artifact(asked.data, published=name), files, asked.rounds)
            print(f"| {name} | {bare:.0f} µs | {more:.1f} µs | {more / bare:.1%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
