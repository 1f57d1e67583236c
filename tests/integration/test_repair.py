"""Each thing that the repair looks for: found by a dry run that changes nothing, mended, and then not found."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from shared.lifecycle import claims, counters
from shared.lifecycle.recount import COUNTERS, recount
from shared.store.tables import Batch, Chunk, Delivery, Item, Submission, Worker
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url
from tests.harness.processes import until
from worker.upkeep import repairing as program
from worker.upkeep.repairing import Finding
from worker.upkeep.site import Site, open_site
from worker.upkeep.sweep import Sweep


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder, kind = tmp_path_factory.mktemp("installation"), request.param
    changed = {"chunk_items": 2, "chunk_bytes": 8000, "republish_s": 0.0, "orphan_s": 60.0}
    with (
        migrated_database_url(kind, folder) as url,
        application(folder, artifact, broker_url, url, **changed) as made,
    ):
        yield made


@pytest.fixture
def site(app: Application) -> Iterator[Site]:
    app.work()
    app.runtime.broker.client.flushall()
    with app.database.write() as connection:
        connection.execute(delete(Delivery))  # of earlier tests: their messages are flushed
    made = open_site(app.service.settings)
    list(program.repair(made, dry_run=False))
    yield made
    made.database.dispose()


@pytest.fixture(scope="module")
def four(images: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(images.items())[:4])


def change(app: Application, table: Any, *where: Any, **values: Any) -> None:
    with app.database.write() as connection:
        connection.execute(update(table).where(*where).values(**values))


def seen(site: Site, *, dry_run: bool) -> dict[str, tuple[int, int]]:
    """(found, mended) of every look that found something; none may fail."""
    findings: list[Finding] = list(program.repair(site, dry_run=dry_run))
    assert [finding.error for finding in findings if finding.error] == []
    return {finding.name: (finding.found, finding.mended) for finding in findings if finding.found}


def mended(site: Site) -> dict[str, int]:
    """The steps that a repair mends; a dry run before it finds and leaves them, and a second repair finds none."""
    assert all(done == 0 for _, done in seen(site, dry_run=True).values())
    done = seen(site, dry_run=False)
    assert seen(site, dry_run=False) == {}
    return {name: count for name, (_, count) in done.items()}


def counted_in(app: Application, batch_id: str) -> dict[str, int]:
    with app.database.read() as connection:
        row = connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
    return {name: getattr(row, name) for name in COUNTERS}


def submit(app: Application, files: dict[str, bytes]) -> tuple[str, int]:
    """A batch and how many chunks it has, each of which has been announced."""
    batch_id = app.submit(files)["id"]
    with app.database.read() as connection:
        chunks = len(connection.execute(select(Chunk.id).where(Chunk.batch_id == batch_id)).all())
    until(lambda: app.runtime.broker.length("normal") >= chunks, 30, "a message for each chunk")
    return batch_id, chunks


def test_a_healthy_installation_has_nothing_to_mend(
    app: Application, site: Site, four: dict[str, bytes]
) -> None:
    app.finished(four)
    submit(app, four)
    assert seen(site, dry_run=False) == {}


def test_counters_that_differ_are_set_to_what_is_counted_and_the_batch_ends(
    app: Application, site: Site, four: dict[str, bytes]
) -> None:
    ended, ran = app.finished(four)["id"], app.submit(four)["id"]
    right = counted_in(app, ended)
    change(app, Batch, Batch.id == ended, succeeded=2, failed=2, defect=9, outcome="partial")
    change(app, Batch, Batch.id == ran, queued=5)
    app.work()
    assert app.get(f"/v1/batches/{ran}")["status"] == "processing"  # one item open for ever
    assert mended(site) == {"counters": 2, "completion": 1}
    assert counted_in(app, ended) == right
    assert app.get(f"/v1/batches/{ended}")["outcome"] == "all_succeeded"
    assert app.get(f"/v1/batches/{ran}")["status"] == "completed"


def test_a_recount_that_finds_no_difference_changes_nothing(
    app: Application, site: Site, four: dict[str, bytes]
) -> None:
    batch_id = app.finished(four)["id"]
    before = app.call("GET", f"/v1/batches/{batch_id}").headers["ETag"]
    with app.database.write() as connection:
        assert recount(connection, batch_id, mend=True) == {}
        assert recount(connection, "bat_unknown", mend=True) == {}
    assert app.call("GET", f"/v1/batches/{batch_id}").headers["ETag"] == before


def test_the_sweep_tells_of_a_batch_that_ended_miscounted(
    app: Application, site: Site, four: dict[str, bytes]
) -> None:
    batch_id = app.finished(four)["id"]
    change(app, Batch, Batch.id == batch_id, defect=7)
    with app.database.read() as connection:
        before = counters.read(connection, "miscounted")
    sweep = Sweep(app.service.settings)
    sweep.run_once()
    sweep.run_once()  # not again within the minute
    sweep.site.database.dispose()
    with app.database.read() as connection:
        assert counters.read(connection, "miscounted") == before + 1


def test_items_that_no_chunk_holds_get_one_and_their_verdicts(
    app: Application, site: Site, four: dict[str, bytes]
) -> None:
    batch_id = app.submit(four)["id"]
    with app.database.write() as connection:
        claims.claim(connection, lanes=["normal"], micro_batch=1, token="t", host="h", pid=1, lease_s=60)
        connection.execute(delete(Chunk).where(Chunk.batch_id == batch_id))
    done = mended(site)
    assert done["unclaimable"] == 4
    app.work()
    assert app.get(f"/v1/batches/{batch_id}")["outcome"] == "all_succeeded"
    assert len(app.results(batch_id)) == 4


def test_leases_messages_and_workers(app: Application, site: Site, four: dict[str, bytes]) -> None:
    batch_id, chunks = submit(app, four)
    app.runtime.broker.client.flushall()
    with app.database.write() as connection:
        claims.claim(connection, lanes=["normal"], micro_batch=1, token="t", host="h", pid=1, lease_s=-1)
        connection.execute(
            insert(Worker).values(
                id="lost", host="elsewhere", pid=1, lanes=["normal"], device="cpu", engine="e", threads=1,
                models=[], started_at=1.0, last_seen_at=1.0, items=0,
            )
        )  # fmt: skip
    assert seen(site, dry_run=True)["messages"] == (chunks - 1, 0)
    assert mended(site) == {"workers": 1, "leases": 1, "messages": chunks}
    app.work()
    assert app.get(f"/v1/batches/{batch_id}")["outcome"] == "all_succeeded"


def test_batches_that_nobody_ended(app: Application, site: Site, four: dict[str, bytes]) -> None:
    left = app.finished(four, {"webhook": {"url": "https://receiver.example"}})["id"]
    with app.database.write() as connection:
        connection.execute(delete(Delivery).where(Delivery.batch_id == left))
    change(
        app, Batch, Batch.id == left, finished_at=None, status="processing", outcome=None, retain_until=None
    )
    late = app.submit(four, {"deadline": 60})["id"]
    change(app, Batch, Batch.id == late, deadline_at=1.0)
    assert mended(site) == {"deadlines": 1, "completion": 1}
    assert app.get(f"/v1/batches/{left}")["status"] == "completed"
    assert app.get(f"/v1/batches/{late}")["status"] == "expired"
    with app.database.read() as connection:
        assert len(connection.execute(select(Delivery.id).where(Delivery.batch_id == left)).all()) == 1


def test_what_uploads_left_behind(app: Application, site: Site, four: dict[str, bytes]) -> None:
    kept = app.finished(four, Idempotency_Key="kept")["id"]
    broken, outlived = app.finished(four)["id"], app.finished(four)["id"]
    change(app, Batch, Batch.id == broken, sealed=False, finished_at=None, upload_lease_until=1.0)
    change(app, Batch, Batch.id == outlived, retain_until=1.0)
    with app.database.write() as connection:
        connection.execute(
            insert(Submission).values(
                tenant="default", key="broken", batch_id="bat_gone", fingerprint=None, lease_until=1.0
            )
        )
    blobs = app.service.blobs
    orphan = blobs.pack_path("bat_orphan", 0)
    temporary = [blobs.batch_folder(kept) / "000009.tmp", blobs.spool_folder() / "upload"]
    young = blobs.spool_folder() / "young"
    for path in (orphan, *temporary, young):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (1, 1) if path != young else None)
    left = {"uploads": 1, "claims": 1, "retention": 1, "orphans": 1, "temporary": 2}
    # The batch that was made an upload again was counted as stored when it was sealed.
    assert mended(site) == {**left, "quotas": 1}
    assert young.exists()
    assert not any(path.exists() for path in (orphan, *temporary))
    assert len(app.results(kept)) == 4
    for gone in (broken, outlived):
        assert app.call("GET", f"/v1/batches/{gone}").status_code == 404
    young.unlink()
    with app.database.read() as connection:
        assert connection.scalar(select(Submission.batch_id).where(Submission.key == "kept")) == kept


def test_what_only_a_backup_can_mend_is_told_and_left(
    app: Application, site: Site, four: dict[str, bytes]
) -> None:
    batch_id = app.finished(four)["id"]
    pack = app.service.blobs.pack_path(batch_id, 0)
    artifact = next((app.service.blobs.root / "models").glob("*.gonogo"))
    away = [path.rename(path.with_suffix(".away")) for path in (pack, artifact)]
    assert seen(site, dry_run=False) == {"bytes": (1, 0), "artifacts": (1, 0)}
    for now_there, path in zip(away, (pack, artifact), strict=True):
        now_there.rename(path)
    with app.database.read() as connection:
        assert connection.scalar(select(Item.status).where(Item.batch_id == batch_id)) == "succeeded"
