"""`python -m bench.parts`: the time of `GET /v1/parts?part_id=` over HTTP among ten million items on PostgreSQL.

It is told twice: as the client waits for it, and as the server spends it from the request's first byte to the answer's
last, by its access log. The client shares the machine with the server and the database.
"""

import argparse
import http.client
import json
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
_WARMING = 50  # the first requests warm the pool and the plans


def measure(folder: Path, items: int, requests: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each request, for the client and for the server; each asks for another part."""
    artifact = write_untrained(folder / "untrained.gonogo")
    log = folder / "access.log"
    with (
        empty_database_url("postgresql", folder) as url,
        running(folder, [artifact], "web", database_url=url, access_log=str(log)) as stack,
    ):
        database = stack.database
        batches = max(1, items // (VIEWS * _PARTS_A_BATCH))
        fill(database, "default", batches=batches, parts=_PARTS_A_BATCH)
        database.dispose()
        until(lambda: _answers(stack), 60, "the web process")
        waited = _ask(stack, requests, batches)
        until(lambda: len(_spent(log)) == requests + _WARMING, 20, "the access log has each request")
        return waited, _spent(log)[_WARMING:]


def _spent(log: Path) -> list[float]:
    lines = map(json.loads, log.read_text().splitlines())
    return [line["duration_ms"] for line in lines if line["route"] == "/v1/parts"]


def _answers(stack: Stack) -> bool:
    try:
        return bool(stack.get("/v1/batches?limit=1")[0] == 200)
    except OSError:
        return False


def _ask(stack: Stack, requests: int, batches: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=60)
    headers, times = {"Authorization": f"Bearer {stack.key}"}, []
    chosen = random.Random(7)
    for number in range(requests + _WARMING):
        path = f"/v1/parts?part_id=SN-{chosen.randrange(_PARTS_A_BATCH)}&lot=lot-{chosen.randrange(batches)}"
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or b'"view-1"' not in body:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        if number >= _WARMING:
            times.append(1000 * (time.perf_counter() - started))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=_REQUESTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gonogo-parts-") as folder:
        of_each = dict(
            zip(("client", "server"), measure(Path(folder), asked.items, asked.requests), strict=True)
        )
    for who, times in of_each.items():
        p50, p99 = np.percentile(np.array(times), [50, 99])
        told = f"{who} p50 {p50:.2f} ms, p99 {p99:.2f} ms of {len(times)} requests"
        sys.stdout.write(f"{asked.items} items: {told}\n")


if __name__ == "__main__":
    main()
