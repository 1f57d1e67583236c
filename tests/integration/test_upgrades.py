"""Databases of earlier releases open and keep their rows; a database of a newer release is refused in one line."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from shared.access import audit_chain
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations.upgrade import migrate, newest, revision
from shared.store.tables import ApiKey, Attempt, Base, Batch, Chunk, Delivery, Item, ServiceSecret, Submission
from tests.harness.databases import empty_database_url
from tests.harness.processes import ROOT, environment
from tests.harness.schemas import KEPT, REVISIONS, load

KINDS = ("sqlite", "postgresql")
FILES = sorted(file.stem for kind in KINDS for file in KEPT.glob(f"{kind}-*.sql"))


SCHEMAS = sorted({file.rpartition("-")[2] for file in FILES})
UNUSED = {"workers", "alembic_version"}  # a worker's row goes with the worker


def test_the_schemas_of_earlier_releases_are_kept_for_both_databases() -> None:
    assert sorted(f"{kind}-{number}" for kind in KINDS for number in SCHEMAS) == FILES
    assert [number for number in REVISIONS if number <= "0006"] == SCHEMAS[:6]
    assert {"0012", "0015", "0018"} <= set(SCHEMAS) <= set(REVISIONS)


def test_the_newest_kept_schema_has_a_row_in_each_table_that_it_has(tmp_path: Path) -> None:
    with empty_database_url("sqlite", tmp_path) as url:
        load(KEPT / f"sqlite-{SCHEMAS[-1]}.sql", url)
        database = Database(url)
        empty = {name for name, number in counts(database).items() if number == 0}
        assert empty - UNUSED - {"service_secrets"} == set()
        database.dispose()


@pytest.mark.parametrize("file", [*FILES, "0002-used-postgresql"])
def test_a_database_of_an_earlier_release_becomes_the_newest_and_keeps_its_rows(
    file: str, tmp_path: Path
) -> None:
    kind = "sqlite" if "sqlite" in file else "postgresql"
    with empty_database_url(kind, tmp_path) as url:
        load(KEPT / f"{file}.sql", url)
        database = Database(url)
        before = counts(database)
        migrate(database)
        with database.read() as connection:
            assert revision(database) == newest()
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
        after = counts(database)
        assert {name: after[name] for name in before} == before
        assert min(before[name] for name in ("batches", "items", "chunks", "api_keys", "submissions")) > 0
        if "used" not in file:
            check_rows(database)
        with database.read() as connection:
            assert list(audit_chain.verify(connection)) == []
        database.dispose()


def counts(database: Database) -> dict[str, int]:
    """The rows of each table that is there, without the secret that signed the cookies of older releases: it goes."""
    found = {}
    for name in Base.metadata.tables:
        with database.read() as connection:
            if inspect(connection).has_table(name):
                kept = " WHERE name <> 'session'" if name == "service_secrets" else ""
                found[name] = int(connection.scalar(text(f"SELECT count(*) FROM {name}{kept}")) or 0)
    return found


def check_rows(database: Database) -> None:
    with database.read() as connection:
        assert connection.scalar(select(ServiceSecret.name).where(ServiceSecret.name == "session")) is None
        done, waiting = connection.execute(select(Batch.__table__).order_by(Batch.id)).all()
        assert (done.id, done.status, done.outcome, done.succeeded, done.failed) == (
            "bat_done", "completed", "partial", 1, 1
        )  # fmt: skip
        assert (done.metadata, done.webhook["url"]) == ({"line": "A3"}, "http://r.example")
        assert (waiting.id, waiting.status, waiting.queued) == ("bat_open", "queued", 1)
        items = connection.execute(select(Item.__table__).order_by(Item.batch_id, Item.seq)).all()
        assert [(item.filename, item.status, item.verdict, item.score) for item in items] == [
            ("a.jpg", "succeeded", "defect", 0.75), ("b.jpg", "failed", None, None), ("c.jpg", "queued", None, None)
        ]  # fmt: skip
        chunk = connection.execute(select(Chunk.__table__)).one()
        assert (chunk.batch_id, chunk.status, chunk.first_seq, chunk.last_seq) == ("bat_open", "queued", 0, 0)
        delivery = connection.execute(select(Delivery.__table__)).one()
        assert (delivery.id, delivery.status, delivery.attempts, delivery.due_at) == (
            "whd_old", "pending", 1, 4e9
        )  # fmt: skip
        assert connection.scalar(select(Attempt.status)) == 500
        assert connection.scalar(select(Submission.batch_id)) == "bat_done"
        assert "admin" in connection.scalars(select(ApiKey.scopes)).one()


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_of_a_newer_release_is_refused_in_one_line_and_left_as_it_is(
    kind: str, tmp_path: Path
) -> None:
    with empty_database_url(kind, tmp_path) as url:
        database = Database(url)
        migrate(database)
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
            connection.exec_driver_sql("ALTER TABLE batches ADD COLUMN of_tomorrow INTEGER")
        settings = Settings(data_dir=tmp_path / "data", database_url=url)
        done = subprocess.run(
            [sys.executable, "-m", "shared.store.migrations"],
            cwd=ROOT, env=environment(**settings.to_env()), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(
            f"gonogo: the database has schema 9999, and this release knows schemas up to {newest()}"
        )
        assert revision(database) == "9999"
        with database.read() as connection:
            connection.exec_driver_sql("SELECT of_tomorrow FROM batches")
        database.dispose()
