"""Row 30, the soak: items without end, random faults all the while, and the slopes of memory and descriptors.

`python -m tests.faults soak MINUTES`; in 55 minutes 100,000 items and 500 faults, in less time a share of that.
"""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from sqlalchemy import select

from shared.store.tables import Worker
from tests.faults.rig import CHUNK_ITEMS, WEBHOOK, Rig, rig
from tests.harness.artifacts import write_untrained
from tests.harness.forms import multipart
from tests.harness.images import jpeg

_MINUTES, _ITEMS, _FAULTS = 55.0, 100_000, 500
_BATCH = 1000
_FADING = ("bulk-a", "bulk-b")  # workers that are killed; `bulk` is left alone, to see what it comes to hold
# So slow that the workers have a chunk in hand half of the time: who is killed idle proves nothing.
_SLOW_CHUNK = "worker.predicted=sleep0.7"


def run(*, minutes: float = _MINUTES, kind: str = "sqlite", seed: int | None = None) -> int:
    """The soak; 0 where nothing was lost or doubled and the steady worker's memory and descriptors stay flat."""
    seed = random.randrange(10**6) if seed is None else seed
    items, faults = round(_ITEMS * minutes / _MINUTES), round(_FAULTS * minutes / _MINUTES)
    _say(f"{items} items, {faults} faults, {minutes:g} minutes, {kind}, seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="gonogo-soak-"))
    artifact = write_untrained(folder / "untrained.gonogo")
    (folder / "rig").mkdir()
    with rig(folder / "rig", [artifact], kind, workers=1) as ill:
        for name in ("bulk", *_FADING):
            ill.restart(name, _SLOW_CHUNK)
        return _soak(ill, minutes * 60, items, faults, random.Random(seed))


def _soak(ill: Rig, seconds: float, items: int, faults: int, chance: random.Random) -> int:
    [steady] = ill.stack.children("bulk")
    stop, started, done = threading.Event(), time.monotonic(), Counter[str]()
    uploader = threading.Thread(target=_upload, args=(ill, items, stop, seconds), daemon=True)
    uploader.start()
    samples: list[tuple[float, float, float]] = []
    kinds = _faults(ill, chance)
    while done.total() < faults and time.monotonic() - started < seconds * 1.2:
        name = chance.choice(sorted(kinds))
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # who was to be killed is being restarted
            kinds[name]()
            done[name] += 1
        samples.append(_sample(ill, steady))
        if done.total() % 25 == 0:
            _say(
                f"{done.total()} faults, {ill.done()} items done, {samples[-1][1]:.0f} MB, {samples[-1][2]:.0f} fds"
            )
        due = started + seconds * done.total() / faults
        time.sleep(max(0.0, due - time.monotonic()))
    uploader.join(600)
    stop.set()
    for batch_id in ill.accepted:
        ill.finish(batch_id, 600)
    samples.append(_sample(ill, steady))
    ill.proof(", ".join(f"{count} x {name}" for name, count in sorted(done.items())))
    ill.check()
    memory, descriptors = _slope(samples, 1), _slope(samples, 2)
    _say(f"faults: {ill.saw['fired']}")
    _say(
        f"{ill.saw['items']} items in {(time.monotonic() - started) / 60:.1f} minutes: {ill.saw['lost']} lost, "
        f"{ill.saw['doubled']} doubled, {ill.saw['extra']} extra inferences, {len(ill.accepted)} batches, each "
        f"with one completion event"
    )
    _say(
        f"the worker that was left alone: {memory:+.2f} MB and {descriptors:+.2f} descriptors in 1,000 chunks"
    )
    if faults >= 100 and not ill.saw["extra"]:
        _say("no fault met a worker at work, so nothing is proved")
        return 1
    if samples[-1][0] < 500:
        _say("too few chunks for a slope to be judged")
        return 0
    return 0 if memory < 1.0 and descriptors < 1.0 else 1


def _faults(ill: Rig, chance: random.Random) -> dict[str, Callable[[], None]]:
    def child() -> None:
        children = ill.stack.children(chance.choice(_FADING))
        if children:
            os.kill(children.pop(), signal.SIGKILL)

    def worker() -> None:
        ill.restart(chance.choice(_FADING), _SLOW_CHUNK, wait=False)

    def freeze() -> None:
        children = ill.stack.children(chance.choice(_FADING))
        if children:
            process = psutil.Process(children.pop())
            process.suspend()
            time.sleep(ill.stack.settings.lease_s + 1)
            process.resume()

    def broker() -> None:
        ill.stack.kill_group("valkey", chance.choice([signal.SIGTERM, signal.SIGKILL]))
        ill.stack.start_valkey()

    def flush() -> None:
        with ill.broker() as client:
            client.flushall()

    def cut() -> None:
        with ill.broker() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def web() -> None:
        ill.restart("web")

    def sweep() -> None:
        ill.restart("sweep", wait=False)

    def drain() -> None:
        ill.restart(chance.choice(_FADING), _SLOW_CHUNK, how=signal.SIGTERM, wait=False)

    return {
        "child killed": child, "worker killed": worker, "child frozen": freeze, "broker restarted": broker,
        "broker flushed": flush, "links cut": cut, "web killed": web, "sweep killed": sweep, "worker drained": drain,
    }  # fmt: skip


def _upload(ill: Rig, items: int, stop: threading.Event, seconds: float) -> None:
    """Submit until all is accepted, spread over the time, and come again whenever it was not."""
    data = [os.urandom(300) for _ in range(3)]  # some items fail in decode; that is a terminal state too
    image = jpeg(random.Random(), side=64, blocks=32)
    started = time.monotonic()
    for number in range(-(-items // _BATCH)):
        count = min(_BATCH, items - number * _BATCH)
        files = {f"{place}.jpg": data[place % 3] if place % 50 == 0 else image for place in range(count)}
        content_type, body = multipart(files, {"webhook": WEBHOOK})
        headers = {"Content_Type": content_type, "Idempotency_Key": f"soak-{number}"}
        while not stop.is_set():
            try:
                status, _, answer = ill.stack.request("POST", "/v1/batches", body, **headers)
            except OSError:
                status, answer = 0, b""
            if status == 202:
                ill.accepted[answer.split(b'"id":')[1].split(b'"')[1].decode()] = count
                break
            time.sleep(1)
        due = started + seconds * 0.9 * number * _BATCH / items
        stop.wait(max(0.0, due - time.monotonic()))


def _sample(ill: Rig, pid: int) -> tuple[float, float, float]:
    """(chunks done, MB, descriptors) of the steady worker."""
    with ill.database.read() as connection:
        items = connection.scalar(select(Worker.items).where(Worker.pid == pid)) or 0
    process = psutil.Process(pid)
    return items / CHUNK_ITEMS, process.memory_info().rss / 2**20, float(process.num_fds())


def _slope(samples: list[tuple[float, float, float]], column: int) -> float:
    """Least squares over the second half, since a process grows while it warms up; per 1,000 chunks."""
    half = samples[len(samples) // 2 :]
    mean_x = sum(sample[0] for sample in half) / len(half)
    mean_y = sum(sample[column] for sample in half) / len(half)
    spread = sum((sample[0] - mean_x) ** 2 for sample in half)
    if spread == 0:
        return 0.0
    return 1000 * sum((sample[0] - mean_x) * (sample[column] - mean_y) for sample in half) / spread


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
