"""The bare loop: the same decode, engine and micro-batch on every core, with no HTTP, queue or database.

Every other speed is a share of it. Its own yardstick is cores / (decode + infer), each timed alone on
one core in the same run. `guarded` adds the guard, which the service runs too: it is no cost of the queue.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import numpy as np

from bench import cpu
from shared.registry.artifact import Artifact, read_artifact
from shared.settings import Settings
from shared.vision.guard import Guard, read_guard
from shared.vision.preprocess import decode
from worker.inference.engines.load import load_engine
from worker.inference.loaded import LoadedModel

BLOCK = 64  # images that a thread takes at a time


@dataclass(frozen=True)
class Alone:
    """Milliseconds an image on one core."""

    decode_ms: float
    infer_ms: float

    @property
    def ceiling(self) -> float:
        """Images a second that all cores could do at most."""
        return 1000 * (os.cpu_count() or 1) / (self.decode_ms + self.infer_ms)


class Yardstick:
    """Decode and infer timed by themselves on one core, again at each call."""

    def __init__(self, artifact: Path, images: Sequence[Path], count: int = 256) -> None:
        self._loaded = read_artifact(artifact)
        self._engine = load_engine(self._loaded, threads=1)
        self._sources = [path.read_bytes() for path in images[:count]]
        self.measure()

    def measure(self) -> Alone:
        """Each of the two over all images, once."""
        size, scale = Settings().micro_batch, 1000 / len(self._sources)
        started = time.perf_counter()
        arrays = [decode(source, self._loaded.preprocessing) for source in self._sources]
        between = time.perf_counter()
        for first in range(0, len(arrays), size):
            self._engine.predict(np.stack(arrays[first : first + size]))
        return Alone(scale * (between - started), scale * (time.perf_counter() - between))


@dataclass(frozen=True)
class Loop:
    """A run of the bare loop: images a second, and milliseconds of CPU per image."""

    speed: float
    cpu_ms: float


class BareLoop:
    """Processes that keep their model loaded and work through a list of files when told to."""

    def __init__(self, artifact: Path, *, processes: int, threads: int, guarded: bool = False) -> None:
        self.processes, self.threads = processes, threads
        context = multiprocessing.get_context("spawn")
        self._next = context.Value("q", 0)
        self._ends: list[Connection] = []
        self._children: list[Any] = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            child = context.Process(
                target=_serve, args=(artifact, threads, guarded, self._next, theirs), daemon=True
            )
            child.start()
            self._ends.append(ours)
            self._children.append(child)
        for end in self._ends:
            end.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            end.send(None)
        for child in self._children:
            child.join(10)

    def cpu_seconds(self) -> float:
        """CPU seconds that the loop's processes have used so far."""
        return cpu.seconds(child.pid for child in self._children)

    def measure(self, images: Sequence[Path], count: int) -> Loop:
        """A run with what it cost."""
        used = self.cpu_seconds()
        speed = self.run(images, count)
        return Loop(speed, 1000 * (self.cpu_seconds() - used) / count)

    def run(self, images: Sequence[Path], count: int) -> float:
        """Images a second over `count` images, starting over where the list ends."""
        self._next.value = 0
        started = time.perf_counter()
        for end in self._ends:
            end.send(([str(path) for path in images], count))
        done = sum(end.recv() for end in self._ends)
        seconds = time.perf_counter() - started
        if done != count:
            raise RuntimeError(f"the bare loop did {done} of {count} images")
        return count / seconds


def _serve(artifact: Path, threads: int, guarded: bool, shared_next: Any, orders: Connection) -> None:
    loaded = read_artifact(artifact)
    engine = load_engine(loaded, threads=1)
    predict = LoadedModel(loaded, engine, _guard(loaded)).predict if guarded else engine.predict
    predict(np.zeros((2, *_shape(loaded.preprocessing)), np.uint8))
    orders.send("ready")
    while (order := orders.recv()) is not None:
        images, count = order
        done = [0] * threads

        def work(place: int, images: list[str] = images, count: int = count, done: list[int] = done) -> None:
            while True:
                with shared_next.get_lock():
                    first = shared_next.value
                    shared_next.value = last = min(first + BLOCK, count)
                if first >= count:
                    return
                done[place] += _infer(loaded.preprocessing, predict, images, first, last)

        if threads == 1:
            work(0)
        else:
            team = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
            for thread in team:
                thread.start()
            for thread in team:
                thread.join()
        orders.send(sum(done))


def _shape(spec: Any) -> tuple[int, int, int]:
    return spec.height, spec.width, spec.channels


def _guard(loaded: Artifact) -> Guard | None:
    stored = loaded.guard()
    return None if stored is None else read_guard(stored, loaded.preprocessing)


def _infer(spec: Any, predict: Any, images: list[str], first: int, last: int) -> int:
    size, done = Settings.micro_batch, 0
    for start in range(first, last, size):
        arrays = []
        for number in range(start, min(start + size, last)):
            with open(images[number % len(images)], "rb", buffering=0) as file:  # noqa: PTH123
                arrays.append(decode(file.readall(), spec))
        done += len(predict(np.stack(arrays)))
    return done


def fastest(artifact: Path, images: Sequence[Path], count: int, *, repeats: int = 3) -> dict[str, float]:
    """Images a second of 1 and 2 processes with 1 and 2 threads, by name; medians of interleaved runs."""
    loops = [BareLoop(artifact, processes=p, threads=t) for p in (1, 2) for t in (1, 2)]
    try:
        speeds: list[list[float]] = [[] for _ in loops]
        for _ in range(repeats):
            for loop, seen in zip(loops, speeds, strict=True):
                seen.append(loop.run(images, count))
    finally:
        for loop in loops:
            loop.__exit__()
    return {
        f"{loop.processes}x{loop.threads}": float(np.median(seen))
        for loop, seen in zip(loops, speeds, strict=True)
    }
