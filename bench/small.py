"""Many small requests at once: single predictions, and batches of one image. Here the service's own work is most."""

import http.client
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from bench import cpu
from bench.interactive import Caller
from bench.table import Row
from shared.store.tables import Batch
from tests.harness.forms import multipart
from tests.harness.processes import until
from tests.harness.stack import Stack

_PREDICTORS, _SUBMITTERS = 16, 8


def measure(stack: Stack, images: Sequence[Path], *, seconds: float = 10.0) -> list[Row]:
    """Verdicts a second of each kind, with the CPU that each process spent on one."""
    sources = [path.read_bytes() for path in images[:300]]
    _at_once(4, 2.0, lambda: Caller(stack).ask, sources)
    before = _spent(stack)
    began = time.perf_counter()
    waits = _at_once(_PREDICTORS, seconds, lambda: Caller(stack).ask, sources)
    speed = len(waits) / (time.perf_counter() - began)
    middle, worst = np.percentile(waits, [50, 99])
    note = f"p50 {middle:.0f}, p99 {worst:.0f} ms; {_each(stack, before, len(waits))}"
    rows = [Row(f"single predictions, {_PREDICTORS} clients at once", speed, "verdicts/s", note=note)]
    before = _spent(stack)
    began = time.perf_counter()
    sent = _at_once(_SUBMITTERS, seconds, lambda: _submitter(stack), sources)
    until(lambda: _open(stack) == 0, 300, "the batches end")
    speed = len(sent) / (time.perf_counter() - began)
    note = f"until the last verdict; {_each(stack, before, len(sent))}"
    return [*rows, Row(f"batches of one image, {_SUBMITTERS} clients", speed, "verdicts/s", note=note)]


def _at_once(
    clients: int, seconds: float, client: Callable[[], Callable[[bytes], float]], sources: Sequence[bytes]
) -> list[float]:
    """The results that `clients` threads got from asking again and again for so long; an error in one is raised."""
    seen: list[float] = []
    errors: list[Exception] = []
    end = time.perf_counter() + seconds

    def ask_on(first: int) -> None:
        try:
            ask, number = client(), first
            while time.perf_counter() < end:
                seen.append(ask(sources[number % len(sources)]))
                number += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask_on, args=(7 * number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return seen


def _submitter(stack: Stack) -> Callable[[bytes], float]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=60)

    def submit(image: bytes) -> float:
        """Milliseconds until the batch is accepted."""
        content_type, body = multipart({"one.jpg": image}, {})
        headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": content_type}
        began = time.perf_counter()
        connection.request("POST", "/v1/batches", body, headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"/v1/batches answered {answer.status}: {told[:200]!r}")
        return 1000 * (time.perf_counter() - began)

    return submit


def _open(stack: Stack) -> int:
    database = stack.database
    with database.read() as connection:
        found = connection.scalar(select(func.count()).where(Batch.finished_at.is_(None)))
    database.dispose()
    return int(found or 0)


def _spent(stack: Stack) -> dict[str, float]:
    return {name: cpu.seconds(cpu.family(process.pid)) for name, process in stack.processes.items()}


def _each(stack: Stack, before: dict[str, float], verdicts: int) -> str:
    """Milliseconds of CPU that each process spent on a verdict; what is hardly anything is left out."""
    spent = {name: 1000 * (after - before[name]) / verdicts for name, after in _spent(stack).items()}
    return "CPU ms each: " + ", ".join(f"{name} {ms:.1f}" for name, ms in spent.items() if ms >= 0.1)
