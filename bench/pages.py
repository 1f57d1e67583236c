"""`python -m bench.pages`: the server's time for each page among a million items, a tenth of them in one batch.

The time is of the application alone, without a socket. Ends with status 1 where a p99 is over 100 ms, or where a page
reads a big table from end to end.
"""

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Iterator

import numpy as np

from bench.plans import empty_application, in_short, measured
from tests.harness.application import Application
from tests.harness.many_parts import VIEWS, fill

_GOAL_MS = 100.0
_SMALL = 500  # parts of each batch but the largest


@contextlib.contextmanager
def filled(items: int, largest: int, kind: str) -> Iterator[tuple[Application, list[str]]]:
    """An application with so many items, and the addresses of its pages."""
    with empty_application(kind) as app:
        large = fill(app.database, "default", batches=1, parts=largest // VIEWS)[0]
        small = max(1, (items - largest) // (VIEWS * _SMALL))
        other = fill(app.database, "default", batches=small, parts=_SMALL)[0]
        yield app, pages(app, large, other)


def pages(app: Application, batch: str, other: str) -> list[str]:
    """The addresses of each page: of a large batch, of its first item and of one in its middle."""
    first = app.get(f"/v1/batches/{batch}/items?limit=1")["data"][0]["id"]
    middle = app.get(f"/v1/batches/{batch}/items?limit=1&part_id=SN-{_SMALL}")["data"][0]["id"]
    found = re.search(r"cursor=([\w-]+)", app.call("GET", f"/batches/{batch}").text)
    following = found[1] if found else ""
    return [
        "/", f"/batches/{batch}", f"/batches/{batch}?verdict=defect", f"/batches/{batch}?verdict=review",
        f"/batches/{batch}?status=failed", f"/batches/{batch}?cursor={following}", f"/batches/{other}",
        f"/batches/{batch}/diff/{batch}", f"/items/{first}", f"/items/{middle}",
        f"/items/{middle}?verdict=defect", "/review", f"/review?batch_id={batch}", "/models", f"/models/{app.model_id}",
        f"/models/{app.model_id}/drift",
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=100_000, help="items of the largest batch")
    parser.add_argument("--seconds", type=float, default=3.0, help="for the requests of one page")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    asked = parser.parse_args()
    faults: list[str] = []
    with filled(asked.items, asked.largest, asked.database) as (app, addresses):
        for address in addresses:
            times, plans, scanned = measured(app, address, asked.seconds)
            p50, p99 = np.percentile(times, [50, 99])
            print(f"{p50:8.2f} ms p50 {p99:8.2f} ms p99 {len(times):4} times  {address}", flush=True)
            for line in dict.fromkeys(in_short(plans)) if p99 > _GOAL_MS or scanned else ():
                print(f"             {line}", flush=True)
            faults += [address] if p99 > _GOAL_MS else []
            faults += [f"{address}: {table}" for table in scanned]
    print(
        f"{asked.items} items on {asked.database}; over {_GOAL_MS:.0f} ms or whole scans: {json.dumps(faults)}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
