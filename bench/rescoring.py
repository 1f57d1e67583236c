"""`python -m bench.rescoring`: seconds to rescore a batch of a million images on PostgreSQL, by the share that flips.

With `--views`, their parts follow; with `--old-parts`, as parts follow that ended before they kept a score.

The scores are spread evenly, so a threshold that moves by 0.01 flips one image in a hundred. The rows are as a worker
leaves them: written once at the upload and once with the verdict. The last line flips every image of the batch.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert, select, text, update

from shared.clock import now
from shared.contract.operating_point import OperatingPoint
from shared.ids import new_id
from shared.lifecycle import rescoring
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import Batch, ModelVersion, Part
from tests.harness.databases import empty_database_url, prepare

_MODEL = "mdl_bench"
_ITEMS = (
    'INSERT INTO items (batch_id, seq, filename, sha256, pack, "offset", length, status, attempts, created_at, part_id)'
    " SELECT :batch, i, 'line-3/part-' || i || '.jpg', md5(i::text) || md5(i::text), i / 100, i % 100 * 20000, 20000,"
    " 'queued', 0, :at, CASE WHEN :views > 0 THEN 'SN-' || (i / greatest(:views, 1)) END"
    " FROM generate_series(0, :count - 1) AS n(i)"
)
_JUDGED = (
    "UPDATE items SET status = 'succeeded', score = (seq::bigint * 7919 % 1000003) / 1000003.0,"
    " verdict = CASE WHEN (seq::bigint * 7919 % 1000003) / 1000003.0 >= 0.5 THEN 'defect' ELSE 'no_defect' END,"
    " threshold = 0.5, review_low = 0.5, review_high = 0.5, raw_score = 1.5, unfamiliarity = 0.3, judge_id = 1,"
    " model_sha256 = md5('m') || md5('m'), queue_ms = 12.5, decode_ms = 1.5, infer_ms = 2.5, attempts = 1,"
    " finished_at = :at WHERE batch_id = :batch"
)
_PARTS = (
    "INSERT INTO parts (batch_id, part_id, tenant, total, verdict, created_at, finished_at, score, held)"
    " SELECT batch_id, part_id, 'default', count(*), CASE WHEN bool_or(verdict = 'defect') THEN 'defect'"
    " ELSE 'no_defect' END, :at, :at, max(score), 0 FROM items WHERE batch_id = :batch GROUP BY batch_id, part_id"
)


def fill(database: Database, count: int, views: int) -> str:
    """A finished batch of so many images, with the threshold 0.5; with `views`, so many of them are a part."""
    batch_id, at = new_id("bat"), now()
    with database.write() as connection:
        connection.execute(
            insert(ModelVersion).values(
                id=_MODEL, name="m", sha256="0" * 64, threshold=0.5, review_low=0.5, review_high=0.5, card={},
                tenant="*", status="ready", created_at=at,
            )
        )  # fmt: skip
        row = {
            "id": batch_id, "tenant": "default", "status": "completed", "origin": "batch", "lane": "normal",
            "sealed": True, "model_id": _MODEL, "threshold": 0.5, "review_low": 0.5, "review_high": 0.5,
            "metadata": {}, "on_error": "continue", "created_at": at, "finished_at": at, "retention_s": 1e9,
            "total": count, "succeeded": count,
        }  # fmt: skip
        connection.execute(insert(Batch).values(row))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.execute(text(_ITEMS), {"batch": batch_id, "at": at, "count": count, "views": views})
        connection.execute(text(_JUDGED), {"batch": batch_id, "at": at})
        if views:
            connection.execute(text(_PARTS), {"batch": batch_id, "at": at})
        connection.execute(
            text(
                "UPDATE batches SET defect = (SELECT count(*) FROM items WHERE verdict = 'defect'),"
                " no_defect = (SELECT count(*) FROM items WHERE verdict = 'no_defect'),"
                " parts = (SELECT count(*) FROM parts)"
            )
        )
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")
    return batch_id


def measure(database: Database, batch_id: str, point: OperatingPoint) -> tuple[float, float, int, int]:
    """Seconds of the preview and of the rescoring with its commit, and how many images and parts flip."""
    with database.read() as connection:
        batch = BatchRecord._make(
            connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
        )
        began = time.perf_counter()
        rescoring.count(connection, batch, point)
        preview = time.perf_counter() - began
    began = time.perf_counter()
    with database.write() as connection:
        _, changes = rescoring.rescore(connection, batch, point, None)
    taken = time.perf_counter() - began
    return preview, taken, sum(row[2] for row in changes.items), sum(row[2] for row in changes.parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rescoring", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--views", type=int, default=0, help="images of a part; 0: without parts")
    parser.add_argument("--old-parts", action="store_true", help="parts that keep no score")
    asked = parser.parse_args()
    moves = [0.501, 0.5, 0.51, 0.5, 0.55, 0.5, 0.8, 0.5, 0.0]
    with (
        tempfile.TemporaryDirectory(prefix="gonogo-rescoring-") as folder,
        empty_database_url("postgresql", Path(folder)) as url,
    ):
        database = Database(url)
        prepare(database)
        batch_id = fill(database, asked.items, asked.views)
        if asked.old_parts:
            with database.write() as connection:
                connection.execute(update(Part).values(score=None, held=None))
        for threshold in moves:
            preview, taken, items, parts = measure(
                database, batch_id, OperatingPoint(threshold, threshold, threshold)
            )
            sys.stdout.write(
                f"to {threshold:.3f}: {taken:6.2f} s, preview {preview:5.2f} s, {items} of {asked.items} images and "
                f"{parts} parts flip\n"
            )
            sys.stdout.flush()
        database.dispose()


if __name__ == "__main__":
    main()
