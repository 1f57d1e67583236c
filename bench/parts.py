"""`python -m bench.parts`: the time of `GET /v1/parts?part_id=` over HTTP among ten million items on PostgreSQL."""

import argparse
import http.client
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.harness.artifacts import write_untrained
from tests.harness.databases import empty_database_url
from tests.harness.many_parts import VIEWS, fill
from tests.harness.processes import until
from tests.harness.stack import Stack, running

_PARTS_A_BATCH = 50_000
_REQUESTS = 2000


def measure(folder: Path, items: int, requests: int) -> list[float]:
    """Milliseconds of each request, by one client on one kept connection; each asks for another part."""
    artifact = write_untrained(folder / "untrained.gonogo")
    with (
        empty_database_url("postgresql", folder) as url,
        running(folder, [artifact], "web", database_url=url) as stack,
    ):
        database = stack.database
        fill(database, "default", batches=max(1, items // (VIEWS * _PARTS_A_BATCH)), parts=_PARTS_A_BATCH)
        database.dispose()
        until(lambda: _answers(stack), 60, "the web process")
        return _ask(stack, requests)


def _answers(stack: Stack) -> bool:
    try:
        return bool(stack.get("/v1/batches?limit=1")[0] == 200)
    except OSError:
        return False


def _ask(stack: Stack, requests: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=60)
    headers, times = {"Authorization": f"Bearer {stack.key}"}, []
    chosen = random.Random(7)
    for number in range(requests + 50):
        path = f"/v1/parts?part_id=SN-{chosen.randrange(_PARTS_A_BATCH)}&lot=lot-{chosen.randrange(10)}"
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or b'"view-1"' not in body:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        if number >= 50:  # the first warm the pool and the plans
            times.append(1000 * (time.perf_counter() - started))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=_REQUESTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gonogo-parts-") as folder:
        times = np.array(measure(Path(folder), asked.items, asked.requests))
    p50, p99 = np.percentile(times, [50, 99])
    sys.stdout.write(f"{asked.items} items: p50 {p50:.2f} ms, p99 {p99:.2f} ms of {len(times)} requests\n")


if __name__ == "__main__":
    main()
