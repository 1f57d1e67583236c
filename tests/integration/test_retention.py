"""Rows and bytes go together, when their time is over; either without the other is found and comes to an end."""

import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from shared.access import audit_chain, sessions
from shared.clock import now
from shared.contract.states import DeliveryStatus
from shared.lifecycle import counters, purging
from shared.store.tables import Attempt, Batch, Chunk, Delivery, Item, Session, Submission
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url
from tests.harness.processes import until
from tests.harness.stack import Stack, running
from worker.upkeep.steps import audit
from worker.upkeep.sweep import Sweep, heal

WEBHOOK = {"webhook": {"url": "https://receiver.example"}}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """Two items a chunk; a chunk whose bytes are missing is tried twice."""
    folder, kind = tmp_path_factory.mktemp("installation"), request.param
    changed = {"chunk_items": 2, "max_attempts": 2, "orphan_s": 0.0, "chunk_bytes": 1}
    with (
        migrated_database_url(kind, folder) as url,
        application(folder, artifact, broker_url, url, **changed) as made,
    ):
        yield made


@pytest.fixture
def sweep(app: Application) -> Iterator[Sweep]:
    app.work()
    made = Sweep(app.service.settings)
    yield made
    made.site.database.dispose()


@pytest.fixture(scope="module")
def four(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:4])


def rows_of(app: Application, batch_id: str) -> dict[str, int]:
    """How many rows each table holds for a batch."""
    counted = {}
    with app.database.read() as connection:
        for table, column in (
            (Batch, Batch.id), (Item, Item.batch_id), (Chunk, Chunk.batch_id),
            (Submission, Submission.batch_id), (Delivery, Delivery.batch_id),
        ):  # fmt: skip
            query = select(func.count()).select_from(table).where(column == batch_id)
            counted[table.__name__] = connection.scalar(query) or 0
    return counted


def change(app: Application, table: Any, where: Any, **values: Any) -> None:
    with app.database.write() as connection:
        connection.execute(update(table).where(where).values(**values))


def deliver(app: Application, batch_id: str) -> None:
    """The rows that a deliverer leaves behind, without its HTTP."""
    change(app, Delivery, Delivery.batch_id == batch_id, status=DeliveryStatus.DELIVERED, finished_at=now())


def end_leases(app: Application) -> None:
    change(app, Chunk, Chunk.status == "leased", lease_until=1.0)


def test_everything_of_an_outlived_batch_goes_and_its_neighbour_stays(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    outlived = app.finished(four, {**WEBHOOK, "retention": 60}, Idempotency_Key="outlived")["id"]
    kept = app.finished(four, WEBHOOK, Idempotency_Key="kept")["id"]
    deliver(app, outlived)
    with app.database.write() as connection:
        delivery = connection.scalar(select(Delivery.id).where(Delivery.batch_id == outlived))
        connection.execute(
            Attempt.__table__.insert().values(  # type: ignore[attr-defined]
                delivery_id=delivery, at=now(), latency_ms=1.0, answer="", status=200
            )
        )
    sweep.run_once()
    assert rows_of(app, outlived)["Item"] == 4
    change(app, Batch, Batch.id == outlived, retain_until=now() - 1)
    sweep.run_once()
    left = rows_of(app, outlived)
    assert left.pop("Submission") == 1, "its key makes no second batch for a day"
    assert set(left.values()) == {0}
    change(app, Submission, Submission.batch_id == outlived, forget_at=now() - 1)
    sweep.run_once()
    assert set(rows_of(app, outlived).values()) == {0}
    assert not app.service.blobs.batch_folder(outlived).exists()
    assert rows_of(app, kept) == {"Batch": 1, "Item": 4, "Chunk": 4, "Submission": 1, "Delivery": 1}
    assert app.service.blobs.pack_path(kept, 0).exists()


def test_the_time_is_what_the_submission_asked_for_and_begins_at_the_end(
    app: Application, four: dict[str, bytes]
) -> None:
    asked = app.submit(four, {"retention": 3600})["id"]
    usual = app.submit(four)["id"]
    for batch_id in (asked, usual):
        assert app.get(f"/v1/batches/{batch_id}")["retain_until"] is None
    app.work()
    with app.database.read() as connection:
        kept_s = {
            row.id: row.retain_until - row.finished_at
            for row in connection.execute(
                select(Batch.id, Batch.retain_until, Batch.finished_at).where(Batch.id.in_([asked, usual]))
            )
        }
    assert kept_s[asked] == pytest.approx(3600, abs=1)
    assert kept_s[usual] == pytest.approx(app.service.settings.retention_s, abs=1)


def test_a_batch_that_runs_has_no_end_however_short_its_time(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four, {"retention": 0.001})["id"]
    sweep.run_once()
    change(app, Batch, Batch.id == batch_id, retain_until=1.0)  # a value that no client sets
    sweep.run_once()
    assert rows_of(app, batch_id)["Item"] == 4
    app.work()
    time.sleep(0.01)
    sweep.run_once()
    assert set(rows_of(app, batch_id).values()) == {0}


def test_a_webhook_that_is_owed_keeps_its_batch_until_it_is_delivered(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.finished(four, {**WEBHOOK, "retention": 0.001})["id"]
    time.sleep(0.01)
    sweep.run_once()
    assert rows_of(app, batch_id)["Delivery"] == 1
    deliver(app, batch_id)
    sweep.run_once()
    assert set(rows_of(app, batch_id).values()) == {0}


def test_bytes_left_by_a_sweep_that_died_after_its_commit_are_removed(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.finished(four)["id"]
    with app.database.write() as connection:
        assert purging.purge_rows(connection, batch_id)
    time.sleep(0.01)
    sweep.run_once()
    assert not app.service.blobs.batch_folder(batch_id).exists()


def test_items_whose_bytes_are_gone_fail_by_name_and_the_rest_gets_verdicts(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four)["id"]
    app.service.blobs.pack_path(batch_id, 0).unlink()
    app.work()  # once: the chunk waits for its lease's end, the others do not wait for it
    counts = app.get(f"/v1/batches/{batch_id}")["counts"]
    assert (counts["succeeded"], counts["processing"]) == (3, 1)
    end_leases(app)
    sweep.run_once()
    app.work()
    ended = app.get(f"/v1/batches/{batch_id}")
    assert (ended["status"], ended["outcome"]) == ("completed", "partial")
    (failed,) = [item for item in app.results(batch_id) if item["status"] == "failed"]
    assert (failed["filename"], failed["error"]["code"]) == (next(iter(four)), "fetch_failed")
    assert "gone" in failed["error"]["detail"]
    with app.database.read() as connection:
        assert counters.read(connection, "bytes_missing") >= 2


def test_bytes_that_come_back_between_two_tries_get_their_verdicts(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four)["id"]
    pack = app.service.blobs.pack_path(batch_id, 0)
    away = pack.rename(pack.with_suffix(".away"))
    app.work()
    away.rename(pack)
    end_leases(app)
    sweep.run_once()
    app.work()
    assert app.get(f"/v1/batches/{batch_id}")["outcome"] == "all_succeeded"


def test_a_store_that_is_not_there_fails_nothing(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four)["id"]
    there = app.service.blobs.root / "batches"
    away = there.rename(there.with_name("unmounted"))
    for _ in range(5):
        app.work()
        sweep.run_once()
    counts = app.get(f"/v1/batches/{batch_id}")["counts"]
    assert (counts["queued"], counts["failed"]) == (4, 0)
    away.rename(there)

    app.work()
    assert app.get(f"/v1/batches/{batch_id}")["outcome"] is None, "it is not worked on at once"
    change(app, Chunk, Chunk.batch_id == batch_id, lease_until=1.0)
    sweep.run_once()
    app.work()
    assert app.get(f"/v1/batches/{batch_id}")["outcome"] == "all_succeeded"


def test_a_pack_that_was_cut_off_is_not_called_a_corrupt_image(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four)["id"]
    pack = app.service.blobs.pack_path(batch_id, 3)
    pack.write_bytes(pack.read_bytes()[:-5])
    app.work()
    assert [(item["status"], (item["error"] or {}).get("code")) for item in app.results(batch_id)] == [
        ("succeeded", None)
    ] * 3 + [("failed", "fetch_failed")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    short: dict[str, Any] = {
        "retention_s": 2.0,
        "orphan_s": 1.0,
        "chunk_items": 2,
        "max_attempts": 2,
        "workers": 1,
    }
    with running(tmp_path_factory.mktemp("stack"), [artifact], **short) as started:
        yield started


def test_a_real_sweep_removes_what_is_over_and_ends_what_lost_its_bytes(
    stack: Stack, four: dict[str, bytes]
) -> None:
    brief = stack.submit(four)["id"]
    asked = stack.submit(four, {"retention": 3600})["id"]
    stack.finish(asked)
    blobs = stack.settings.blobs
    until(lambda: stack.get(f"/v1/batches/{brief}")[0] == 404, 60, "the brief one is gone")
    until(lambda: not list(blobs.glob(f"batches/*/{brief}")), 30, "its bytes are gone")
    assert len(stack.items(asked)) == 4

    stack.kill("bulk", signal.SIGTERM)
    lost = stack.submit(four, {"retention": 3600})["id"]
    for pack in blobs.glob(f"batches/*/{lost}"):
        shutil.rmtree(pack)
    stack.start("bulk")
    ended = stack.finish(lost, 120)
    assert (ended["status"], ended["outcome"]) == ("completed", "all_failed")
    assert {item["error"]["code"] for item in stack.items(lost)} == {"fetch_failed"}


def test_ended_sessions_and_outlived_audit_entries_go_and_the_others_stay(
    app: Application, sweep: Sweep
) -> None:
    key_id = app.get("/v1/api-keys")["data"][0]["id"]
    with app.database.write() as connection:
        over, _ = sessions.begin(connection, key_id, -1)
        kept, _ = sessions.begin(connection, key_id, 600)
    made = app.call("POST", "/v1/api-keys", json={"name": "audited"}).get_json()["id"]
    sweep.run_once()
    with app.database.read() as connection:
        found = set(connection.scalars(select(Session.id)))
    assert kept in found
    assert over not in found
    assert app.get(f"/v1/audit?object_id={made}")["data"], "its retention is a year"
    time.sleep(0.01)
    brief = replace(sweep.site, settings=replace(sweep.site.settings, audit_retention_s=0.0))
    heal(brief, audit, 100)
    assert app.get(f"/v1/audit?object_id={made}")["data"] == []
    (entry,) = app.get("/v1/audit?tenant=*&limit=1")["data"]
    assert (entry["action"], entry["key_id"]) == ("audit.prune", None)
    with app.database.read() as connection:
        assert list(audit_chain.verify(connection)) == []
