"""`python -m bench.plans`: the plan and the time of every query that the API can issue, on a large PostgreSQL.

Ends with status 1 where a query reads a big table from end to end, one of 50,000 rows or more.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from shared.ids import new_id
from tests.harness.application import Application, application
from tests.harness.artifacts import write_untrained
from tests.harness.broker import start_valkey
from tests.harness.databases import empty_database_url
from tests.harness.every_query import urls, whole_scans
from tests.harness.many_parts import VIEWS, fill
from tests.harness.plans import plan, statements

_LARGE, _MEDIUM = 50_000, 500  # parts of the largest batch, and of each other one
_BIG_ROWS = 50_000
_AUDIT = (
    "INSERT INTO audit_entries (chain, seq, id, at, tenant, action, object_id, key_id, detail, previous, hash)"
    " SELECT 9, i, 'aud_' || lpad(i::text, 26, '0'), i, CASE i % 3 WHEN 0 THEN 'other' ELSE 'default' END,"
    " CASE i % 50 WHEN 0 THEN 'batch.cancel' ELSE 'batch.submit' END, 'bat_' || i, 'key_' || i % 20, '{{}}', '', ''"
    " FROM generate_series(1, {count}) AS n(i)"
)


@contextlib.contextmanager
def empty_application(kind: str) -> Iterator[Application]:
    """An application on an empty database of this kind, with a broker of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="gonogo-bench-") as name,
        empty_database_url(kind, Path(name)) as url,
        contextlib.ExitStack() as closing,
    ):
        folder = Path(name)
        broker = start_valkey(folder, folder / "v.sock")
        closing.callback(broker.wait, 20)
        closing.callback(broker.terminate)
        artifact = write_untrained(folder / "untrained.gonogo")
        yield closing.enter_context(
            application(folder / "data", artifact, f"unix://{folder / 'v.sock'}", url)
        )


def filled(app: Application, items: int) -> dict[str, str]:
    """Fill the database with so many items, half of them of another tenant; the ids for the paths."""
    large = fill(app.database, "default", batches=1, parts=min(_LARGE, items // (50 * VIEWS)))[0]
    count = max(1, items // (2 * VIEWS * _MEDIUM))
    for tenant in ("other", "default"):
        fill(app.database, tenant, batches=count, parts=_MEDIUM)
    with app.database.write() as connection:
        connection.execute(text(_AUDIT.format(count=max(1000, items // 10))))
    with app.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("VACUUM ANALYZE")
    item = app.get(f"/v1/batches/{large}/items?limit=1")["data"][0]["id"]
    endpoint = app.call("POST", "/v1/webhook-endpoints", json={"url": "https://receiver.example/"}).get_json()
    return {
        "batch_id": large, "other_id": large,
        "item_id": item, "model_id": app.model_id, "endpoint_id": endpoint.get("id", "none"),
        "delivery_id": new_id("whd"), "key_id": new_id("key"), "shadow_id": new_id("shd"),
    }  # fmt: skip


def measured(app: Application, url: str, budget_s: float) -> tuple[list[float], list[str], list[str]]:
    """Milliseconds of each request inside the web process, the plans of its statements, and the tables it scans."""
    with statements(app.database.engine) as seen:
        _answer(app, url)
    plans = [
        plan(app.database, sql, given) for sql, given in seen if sql.lstrip().startswith(("SELECT", "WITH"))
    ]
    times: list[float] = []
    until = time.perf_counter() + budget_s
    while len(times) < 5 or (len(times) < 200 and time.perf_counter() < until):
        started = time.perf_counter()
        _answer(app, url)
        times.append(1000 * (time.perf_counter() - started))
    return (
        times,
        plans,
        [table for each in plans for table in whole_scans(each) if _rows(app, table) >= _BIG_ROWS],
    )


def _rows(app: Application, table: str) -> int:
    """About how many rows a table has, as PostgreSQL's planner sees it."""
    with app.database.read() as connection:
        asked = text("SELECT reltuples FROM pg_class WHERE relname = :table")
        return int(connection.scalar(asked, {"table": table}) or 0)


def _answer(app: Application, url: str) -> None:
    answer = app.call("GET", url)
    if answer.status_code not in (200, 404):
        raise RuntimeError(f"{url}: {answer.status_code} {answer.text[:300]}")
    for _ in answer.response:
        pass


def in_short(plans: list[str]) -> Iterator[str]:
    """The scans of the plans: by which index, or which table as a whole."""
    for each in plans:
        for line in each.splitlines():
            if " on " in line or " using " in line:
                yield line.strip().removeprefix("->  ").partition("  (")[0].strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.plans", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="for the requests of one URL")
    parser.add_argument("--only", default="", help="URLs that hold this text")
    parser.add_argument("--whole-plans", action="store_true")
    asked = parser.parse_args()
    faults: list[Any] = []
    with empty_application("postgresql") as app:
        places = filled(app, asked.items)
        for path in urls(app, places):
            if asked.only in path:
                faults += _print(app, path, asked.seconds, whole=asked.whole_plans)
    print(f"{asked.items} items; whole scans of big tables: {json.dumps(faults)}")
    return 1 if faults else 0


def _print(app: Application, path: str, seconds: float, *, whole: bool) -> list[str]:
    times, plans, scanned = measured(app, path, seconds)
    p50, p99 = np.percentile(times, [50, 99])
    print(f"{p50:8.2f} ms p50 {p99:8.2f} ms p99 {len(times):4} times  {path}", flush=True)
    for line in plans if whole else dict.fromkeys(in_short(plans)):
        print(f"             {line}", flush=True)
    return [f"{path}: {table}" for table in scanned]


if __name__ == "__main__":
    sys.exit(main())
