"""`python -m bench.pages`: the server's time for each page of a batch of a million items, and of a small one.

Twice: as the batch has ended, and after the sweep has put it in the order of its scores. The time is of the
application alone, without a socket. Ends with status 1 where a p99 is over 100 ms, or where a page reads a big table
from end to end.
"""

import argparse
import contextlib
import gc
import json
import re
import sys
import time
from collections.abc import Iterator

import numpy as np
from sqlalchemy import text

from bench.plans import empty_application, in_short, measured
from shared.lifecycle import diff_counts, score_bins, score_order
from tests.harness.application import Application
from tests.harness.many_parts import VIEWS, fill

_GOAL_MS = 100.0
# The rarest kind, in the last place: a page that looks for it in batch order has the longest way.
_FAIL_LAST = (
    "UPDATE items SET status = 'failed', verdict = NULL, score = NULL, error_code = 'corrupt_image'"
    " WHERE batch_id = :batch AND seq = :last"
)
_COUNT_LAST = (
    "UPDATE batches SET failed = 1, succeeded = succeeded - 1, no_defect = no_defect - 1 WHERE id = :batch"
)
_SMALL = 500  # parts of each batch but the largest


@contextlib.contextmanager
def filled(items: int, largest: int, kind: str) -> Iterator[tuple[Application, str, str]]:
    """An application with so many items; the ids of the largest batch and of a small one."""
    with empty_application(kind) as app:
        large = fill(app.database, "default", batches=1, parts=largest // VIEWS)[0]
        small = max(1, (items - largest) // (VIEWS * _SMALL))
        other = fill(app.database, "default", batches=small, parts=_SMALL)[0]
        with app.database.write() as connection:
            connection.execute(text(_FAIL_LAST), {"batch": large, "last": largest - 1})
            connection.execute(text(_COUNT_LAST), {"batch": large})
        yield app, large, other


def sweep(app: Application, batch: str) -> None:
    """Do what the sweep does for the pages of a large batch, and print the seconds that it takes."""
    began = time.perf_counter()
    row = score_order.make(app.database, batch)
    ordered = time.perf_counter()
    if row is not None:
        score_bins.of(app.database, row)
    counted = time.perf_counter()
    diff_counts.count(app.database, batch, batch)
    took = (ordered - began, counted - ordered, time.perf_counter() - counted)
    print("the sweep: {:.1f} s for the order, {:.1f} s for the histogram, {:.1f} s for a diff".format(*took))


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
    parser.add_argument("--largest", type=int, default=0, help="items of the largest batch; 0: all")
    parser.add_argument("--seconds", type=float, default=3.0, help="for the requests of one page")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    asked = parser.parse_args()
    faults: list[str] = []
    with filled(asked.items, asked.largest or asked.items, asked.database) as (app, batch, other):
        for is_swept in (False, True):
            if is_swept:
                sweep(app, batch)
            gc.collect()
            gc.freeze()  # as the web server does: else a collection walks all that was imported
            for address in pages(app, batch, other):
                faults += _print(app, address, asked.seconds)
    print(
        f"{asked.items} items on {asked.database}; over {_GOAL_MS:.0f} ms or whole scans: {json.dumps(faults)}"
    )
    return 1 if faults else 0


def _print(app: Application, address: str, seconds: float) -> list[str]:
    times, plans, scanned = measured(app, address, seconds)
    p50, p99 = np.percentile(times, [50, 99])
    print(f"{p50:8.2f} ms p50 {p99:8.2f} ms p99 {len(times):4} times  {address}", flush=True)
    for line in dict.fromkeys(in_short(plans)) if p99 > _GOAL_MS or scanned else ():
        print(f"             {line}", flush=True)
    return [*([address] if p99 > _GOAL_MS else []), *(f"{address}: {table}" for table in scanned)]


if __name__ == "__main__":
    sys.exit(main())
