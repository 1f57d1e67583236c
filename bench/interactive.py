"""Single images through /v1/predict: idle, and while a large batch runs."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench import bulk
from bench.table import Row
from shared.registry.artifact import Artifact
from shared.vision.preprocess import decode
from tests.harness.stack import Stack
from worker.inference.engines.load import load_engine


class Caller:
    """A client on a kept connection."""

    def __init__(self, stack: Stack) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": "image/jpeg"}

    def ask(self, image: bytes) -> float:
        """Milliseconds until the verdict is here."""
        started = time.perf_counter()
        self._connection.request("POST", "/v1/predict", image, self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        spent = 1000 * (time.perf_counter() - started)
        if answer.status != 200 or "prediction" not in json.loads(body):
            raise RuntimeError(f"/v1/predict answered {answer.status}: {body[:200]!r}")
        return spent


def forward_ms(artifact: Artifact, images: Sequence[bytes]) -> float:
    """Milliseconds of one image's decode and forward pass with nothing around them; the median."""
    engine = load_engine(artifact, threads=1)
    seen = []
    for image in images:
        started = time.perf_counter()
        engine.predict(decode(image, artifact.preprocessing)[np.newaxis])
        seen.append(1000 * (time.perf_counter() - started))
    return float(np.median(seen[len(seen) // 10 :]))


def measure(stack: Stack, artifact: Artifact, images: Sequence[Path], folder: Path, count: int) -> list[Row]:
    """Latencies over the bare forward when idle, and in all while a batch of `count` images runs."""
    sources = [path.read_bytes() for path in images[:300]]
    bare = forward_ms(artifact, sources)
    caller = Caller(stack)
    for source in sources[:20]:
        caller.ask(source)
    idle = []
    for source in sources:
        idle.append(caller.ask(source))
        time.sleep(0.005)
    middle, worst = (float(value) for value in np.percentile(idle, [50, 99]))
    busy = _while_busy(stack, caller, sources, folder, count)
    busy_middle, busy_worst = (float(value) for value in np.percentile(busy, [50, 99]))
    note = f"bare forward {bare:.1f} ms"
    return [
        Row("interactive, idle, over the bare forward: p50", middle - bare, "ms", reach=10, at_most=True, note=note),
        Row("interactive, idle, over the bare forward: p99", worst - bare, "ms", reach=50, at_most=True),
        Row("interactive while a large batch runs: p50", busy_middle, "ms", note=f"{len(busy)} requests"),
        Row("interactive while a large batch runs: p99", busy_worst, "ms", reach=250, at_most=True),
    ]  # fmt: skip


def _while_busy(
    stack: Stack, caller: Caller, sources: Sequence[bytes], folder: Path, count: int
) -> list[float]:
    batch = threading.Thread(target=bulk.submit, args=(stack, folder, count))
    batch.start()
    time.sleep(0.3)
    seen: list[float] = []
    while batch.is_alive():
        seen.append(caller.ask(sources[len(seen) % len(sources)]))
        time.sleep(0.02)
    batch.join()
    if len(seen) < 20:
        raise RuntimeError("the batch ended before it could be measured")
    return seen
