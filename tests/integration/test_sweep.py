"""The sweep heals what died between two steps, and two sweeps at once do no harm."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from shared.broker import queues
from shared.clock import now
from shared.contract.events import MODEL_ACTIVATED
from shared.lifecycle import claims, closing, counters, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.purging import purge
from shared.lifecycle.verdicts import Result
from shared.store.tables import Batch, Chunk, Delivery, Submission, Worker
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url
from worker.process import place
from worker.upkeep.ending import end_batch
from worker.upkeep.sweep import Sweep

WEBHOOK = {"webhook": {"url": "https://receiver.example"}}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    """Two items a chunk, two attempts; queued chunks are announced again, and bytes are orphans, at once."""
    folder, kind = tmp_path_factory.mktemp("installation"), request.param
    changed = {"chunk_items": 2, "max_attempts": 2, "republish_s": 0.0, "orphan_s": 0.0, "lease_s": 60.0}
    with (
        migrated_database_url(kind, folder) as url,
        application(folder, artifact, broker_url, url, **changed) as made,
    ):
        yield made


@pytest.fixture
def sweep(app: Application) -> Iterator[Sweep]:
    """A sweep over an installation in which nothing is left of earlier tests, messages included."""
    app.work()
    app.runtime.broker.client.flushall()
    made = Sweep(app.service.settings)
    yield made
    made.site.database.dispose()


@pytest.fixture(scope="module")
def four(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:4])


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    return process.pid


def claim(app: Application, *, pid: int = 1, host: str = "elsewhere", lease_s: float = 60.0) -> Claim:
    with app.database.write() as connection:
        (held,) = claims.claim(
            connection, lanes=["normal"], micro_batch=1, token="dead", host=host, pid=pid, lease_s=lease_s
        )
    return held


def change_batch(app: Application, batch_id: str, **values: Any) -> None:
    with app.database.write() as connection:
        connection.execute(update(Batch).where(Batch.id == batch_id).values(**values))


def counted(app: Application, name: str) -> int:
    with app.database.read() as connection:
        return counters.read(connection, name)


def batch(app: Application, batch_id: str) -> Any:
    return app.get(f"/v1/batches/{batch_id}")


def test_a_chunk_whose_lease_has_ended_is_done_by_another(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four)["id"]
    claim(app, lease_s=-1)
    before = counted(app, "lease_expired")
    sweep.run_once()
    assert counted(app, "lease_expired") == before + 1
    app.work()
    assert batch(app, batch_id)["outcome"] == "all_succeeded"
    assert [item["attempts"] for item in app.results(batch_id)] == [2, 2, 1, 1]


def test_a_dead_process_of_this_host_need_not_be_waited_for(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    app.submit(four)
    claim(app, pid=dead_pid(), host=place())
    claim(app, pid=os.getpid(), host=place())
    sweep.run_once()
    with app.database.read() as connection:
        rows = connection.execute(select(Chunk.status).where(Chunk.status != "done").order_by(Chunk.id)).all()
    assert [row.status for row in rows] == ["queued", "leased"]
    with app.database.write() as connection:
        connection.execute(update(Chunk).where(Chunk.status == "leased").values(lease_until=1.0))
    sweep.run_once()


def test_the_last_death_ends_the_batch(app: Application, sweep: Sweep, four: dict[str, bytes]) -> None:
    batch_id = app.submit(dict(list(four.items())[:1]), WEBHOOK)["id"]
    for _ in range(2):
        claim(app, lease_s=-1)
        sweep.run_once()
    ended = batch(app, batch_id)
    assert (ended["status"], ended["outcome"]) == ("completed", "all_failed")
    assert app.results(batch_id)[0]["error"]["code"] == "poison_image"
    with app.database.read() as connection:
        assert (
            connection.scalar(select(Delivery.event).where(Delivery.batch_id == batch_id))
            == "batch.completed"
        )


def test_a_batch_whose_worker_died_before_completing_it_is_completed(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four, WEBHOOK)["id"]
    for _ in range(2):
        held = claim(app)
        results = [Result(item.seq, verdict="defect", score=1.0) for item in held.items]
        with app.database.write() as connection:
            verdicts.record(connection, [(held, results)], model_sha256="f" * 64)
    assert batch(app, batch_id)["status"] == "processing"
    sweep.run_once()
    assert batch(app, batch_id)["status"] == "completed"
    with app.database.read() as connection:
        assert len(connection.execute(select(Delivery.id).where(Delivery.batch_id == batch_id)).all()) == 1


def test_an_ending_by_the_sweep_announces_its_webhook_as_any_other(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four, WEBHOOK)["id"]
    with app.database.write() as connection:
        closing.cancel(connection, batch_id)
    app.runtime.broker.client.flushall()
    end_batch(sweep.site, batch_id)
    assert batch(app, batch_id)["status"] == "cancelled"
    assert app.runtime.broker.length(queues.WEBHOOKS) == 1
    end_batch(sweep.site, batch_id)
    assert app.runtime.broker.length(queues.WEBHOOKS) == 1


def test_a_batch_that_runs_is_not_purged_and_one_that_is_gone_loses_its_bytes(
    app: Application, four: dict[str, bytes]
) -> None:
    here, batch_id = app.service, app.submit(four)["id"]
    folder = here.blobs.batch_folder(batch_id)
    assert not purge(here.database, here.blobs, batch_id)
    assert folder.is_dir()
    app.work()
    before = counted(app, "retention_over")
    assert purge(here.database, here.blobs, batch_id, counter="retention_over")
    assert not folder.exists()
    folder.mkdir(parents=True)  # the process died between the rows and the bytes
    assert purge(here.database, here.blobs, batch_id, counter="retention_over")
    assert not folder.exists()
    assert counted(app, "retention_over") == before + 1


def test_messages_that_were_lost_are_sent_again_as_many_as_are_missing(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    app.submit(four)
    app.runtime.broker.client.flushall()
    sweep.run_once()
    assert app.runtime.broker.length("normal") == 2
    sweep.run_once()
    assert app.runtime.broker.length("normal") == 2


def test_a_due_delivery_is_sent_again(app: Application, sweep: Sweep, four: dict[str, bytes]) -> None:
    with app.database.write() as connection:
        connection.execute(Delivery.__table__.delete())  # type: ignore[attr-defined]
    app.finished(four, WEBHOOK)
    app.runtime.broker.client.flushall()
    sweep.run_once()
    assert app.runtime.broker.length("webhooks") == 1


def test_a_batch_past_its_deadline_expires(app: Application, sweep: Sweep, four: dict[str, bytes]) -> None:
    batch_id = app.submit(four, {"deadline": 3600})["id"]
    sweep.run_once()
    assert batch(app, batch_id)["status"] == "queued"
    change_batch(app, batch_id, deadline_at=now() - 1)
    sweep.run_once()
    expired = batch(app, batch_id)
    assert (expired["status"], expired["counts"]["expired"]) == ("expired", 4)


def test_an_abandoned_upload_and_an_outlived_batch_leave_nothing(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    abandoned, outlived, kept = (app.finished(four)["id"] for _ in range(3))
    change_batch(app, abandoned, sealed=False, finished_at=None, upload_lease_until=now() - 1)
    change_batch(app, outlived, retain_until=now() - 1)
    sweep.run_once()
    for gone in (abandoned, outlived):
        assert app.call("GET", f"/v1/batches/{gone}").status_code == 404
        assert not app.service.blobs.batch_folder(gone).exists()
    assert len(app.results(kept)) == 4


def test_bytes_that_no_batch_owns_are_removed_and_owned_ones_are_not(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    kept = app.finished(four)["id"]
    orphan = app.service.blobs.pack_path("bat_orphan", 0)
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    sweep.run_once()
    assert not orphan.parent.exists()
    assert app.service.blobs.pack_path(kept, 0).exists()


def test_bytes_that_may_still_get_their_rows_are_left(app: Application, sweep: Sweep) -> None:
    young = app.service.blobs.pack_path("bat_young", 0)
    young.parent.mkdir(parents=True)
    young.write_bytes(b"x")
    ahead = now() + 600
    os.utime(young, (ahead, ahead))
    sweep.run_once()
    assert young.exists()


def test_a_key_and_a_file_of_a_broken_upload_and_an_old_delivery_are_removed(
    app: Application, sweep: Sweep
) -> None:
    half = app.service.blobs.spool_folder() / "half.gonogo"
    half.write_bytes(b"x")
    os.utime(half, (1, 1))
    claim_of_key = {"tenant": "t", "key": "broken", "batch_id": "bat_broken", "lease_until": 1.0}
    delivery = {
        "id": "whd_old", "batch_id": "", "tenant": "t", "endpoint_id": "whe_old", "event": MODEL_ACTIVATED,
        "url": "https://receiver.example", "secret": "s", "line": "l", "body": "{}", "status": "delivered",
        "attempts": 1, "due_at": 1.0, "created_at": 1.0,
    }  # fmt: skip
    with app.database.write() as connection:
        connection.execute(insert(Submission).values(claim_of_key))
        connection.execute(insert(Delivery).values(delivery))
    sweep.run_once()
    with app.database.read() as connection:
        assert connection.scalars(select(Submission.key).where(Submission.tenant == "t")).all() == []
        assert connection.scalars(select(Delivery.id).where(Delivery.tenant == "t")).all() == []
    assert not half.exists()


def test_a_lost_worker_is_forgotten_and_a_live_one_is_not(app: Application, sweep: Sweep) -> None:
    common = {
        "lanes": ["normal"], "device": "cpu", "engine": "e", "threads": 1, "models": [], "started_at": 1.0,
        "items": 0,
    }  # fmt: skip
    known = [
        ("lost", "elsewhere", 1, now() - 3600),
        ("dead", place(), dead_pid(), now()),
        ("live-here", place(), os.getpid(), now()),
        ("live-there", "elsewhere", dead_pid(), now()),
    ]
    with app.database.write() as connection:
        for name, host, pid, seen in known:
            connection.execute(
                insert(Worker).values(id=name, host=host, pid=pid, last_seen_at=seen, **common)
            )
    sweep.run_once()
    assert [worker["id"] for worker in app.get("/v1/workers")["data"]] == ["live-here", "live-there"]


def test_two_sweeps_at_once_do_no_harm(app: Application, sweep: Sweep, four: dict[str, bytes]) -> None:
    batch_ids = [app.submit(four, WEBHOOK)["id"] for _ in range(4)]
    for _ in range(8):
        claim(app, lease_s=-1)
    before = counted(app, "lease_expired")
    others = [Sweep(app.service.settings) for _ in range(2)]
    start = threading.Barrier(2)

    def run(one: Sweep) -> None:
        start.wait(30)
        for _ in range(3):
            one.run_once()

    threads = [threading.Thread(target=run, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    app.work()
    for one in others:
        one.site.database.dispose()
    for batch_id in batch_ids:
        assert batch(app, batch_id)["outcome"] == "all_succeeded"
        assert {item["attempts"] for item in app.results(batch_id)} == {2}
    assert counted(app, "lease_expired") == before + 8
    with app.database.read() as connection:
        owed = connection.execute(select(Delivery.batch_id).where(Delivery.batch_id.in_(batch_ids))).all()
    assert sorted(row.batch_id for row in owed) == sorted(batch_ids)


def test_a_step_that_fails_does_not_keep_the_others_from_running(
    app: Application, sweep: Sweep, four: dict[str, bytes]
) -> None:
    batch_id = app.finished(four)["id"]
    change_batch(app, batch_id, retain_until=now() - 1)
    app.submit(four)
    sweep.site.broker.client.connection_pool.disconnect()
    sweep.site.broker.client.connection_pool.connection_kwargs["path"] = "/nowhere.sock"
    sweep.run_once()
    assert app.call("GET", f"/v1/batches/{batch_id}").status_code == 404
