"""A batch ends once: by its last verdict, by a cancel or by its deadline."""

import json
import threading
from typing import Any

import pytest
from sqlalchemy import select

from shared.clock import now
from shared.lifecycle import closing, endings, purging, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database
from shared.store.tables import Batch, Chunk, Delivery, Item
from tests.harness.rows import batch_row, claim, make_batch, must_claim, record, run

WEBHOOK = {"url": "https://receiver.example", "secret": "whsec_x", "events": None}


def test_a_batch_is_completed_once_and_owes_one_delivery(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, webhook=WEBHOOK)
    assert run(database, endings.complete, batch_id) is None
    record(database, must_claim(database))
    completed = run(database, endings.complete, batch_id)
    assert len(completed.deliveries) == 1
    assert run(database, endings.complete, batch_id) is None
    row = batch_row(database, batch_id)
    assert (row.status, row.outcome) == ("completed", "all_succeeded")
    assert row.retain_until == pytest.approx(row.finished_at + 60, abs=1)
    with database.read() as connection:
        (delivery,) = connection.execute(select(Delivery.__table__)).all()
    body = json.loads(delivery.body)
    assert (delivery.id, delivery.event, delivery.status) == (
        completed.deliveries[0],
        "batch.completed",
        "pending",
    )
    assert body["type"] == "batch.completed"
    assert (body["data"]["id"], body["data"]["counts"]["succeeded"]) == (batch_id, 4)
    assert body["data"]["links"]["self"] == f"/v1/batches/{batch_id}", "no public URL is set"


def test_the_links_of_a_message_begin_with_the_public_url(database: Database, model_id: str) -> None:
    told: list[str] = []
    tell = endings.Tell(told.append, told.append, "https://parts.example/gonogo")
    batch_id = make_batch(database, model_id, webhook=WEBHOOK)
    record(database, must_claim(database))
    assert endings.end(database, tell, [batch_id]) == [batch_id]
    with database.read() as connection:
        body = json.loads(str(connection.scalar(select(Delivery.body))))
    links = body["data"]["links"]
    assert links["self"] == f"https://parts.example/gonogo/v1/batches/{batch_id}"
    assert all(link.startswith("https://parts.example/gonogo/") for link in links.values())


def test_the_last_two_chunks_recorded_at_once_still_complete_the_batch(
    database: Database, model_id: str
) -> None:
    for _ in range(5):
        batch_id = make_batch(database, model_id, items=2, per_chunk=1, webhook=WEBHOOK)
        helds = [must_claim(database, "a"), must_claim(database, "b")]
        start = threading.Barrier(2)
        won: list[str] = []

        def finish(held: Claim, start: Any = start, won: Any = won, batch_id: str = batch_id) -> None:
            start.wait(30)
            recorded = record(database, held)
            if recorded is not None and recorded.open == 0:
                won.append(run(database, endings.complete, batch_id))

        threads = [threading.Thread(target=finish, args=(held,)) for held in helds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len([completed for completed in won if completed is not None]) == 1
        assert batch_row(database, batch_id).status == "completed"


def test_an_event_that_was_not_asked_for_is_not_owed(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, webhook={**WEBHOOK, "events": ["batch.failed"]})
    record(database, must_claim(database))
    assert run(database, endings.complete, batch_id).deliveries == ()


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([{"verdict": "defect", "score": 0.9}, {"error_code": "corrupt_image"}], "partial"),
        ([{"error_code": "corrupt_image"}, {"error_code": "corrupt_image"}], "all_failed"),
    ],
)
def test_a_completed_batch_may_hold_failed_items(
    database: Database, model_id: str, results: list[dict[str, Any]], outcome: str
) -> None:
    batch_id = make_batch(database, model_id, items=2)
    held = must_claim(database)
    with database.write() as connection:
        made = [Result(item.seq, **result) for item, result in zip(held.items, results, strict=True)]
        verdicts.record(connection, [(held, made)], model_sha256="f" * 64)
    run(database, endings.complete, batch_id)
    row = batch_row(database, batch_id)
    assert (row.status, row.outcome) == ("completed", outcome)


def test_cancel_closes_what_has_not_begun_and_keeps_what_has(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2, webhook=WEBHOOK)
    held = must_claim(database)
    assert run(database, closing.cancel, batch_id)
    assert not run(database, closing.cancel, batch_id)
    assert run(database, endings.complete, batch_id) is None
    assert claim(database) is None
    record(database, held)
    assert run(database, endings.complete, batch_id).deliveries
    row = batch_row(database, batch_id)
    assert (row.status, row.outcome, row.succeeded, row.cancelled) == ("cancelled", "partial", 2, 2)
    with database.read() as connection:
        assert connection.scalar(select(Delivery.event)) == "batch.cancelled"


def test_what_has_ended_cannot_be_cancelled_or_expired(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, deadline_at=now() - 1)
    record(database, must_claim(database))
    run(database, endings.complete, batch_id)
    assert not run(database, closing.cancel, batch_id)
    assert not run(database, closing.expire, batch_id)
    row = batch_row(database, batch_id)
    assert (row.status, row.cancelled, row.expired) == ("completed", 0, 0)


def test_a_deadline_closes_what_has_not_begun(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2, deadline_at=now() - 1)
    held = must_claim(database)
    assert run(database, closing.expire, batch_id)
    assert not run(database, closing.expire, batch_id)
    record(database, held)
    run(database, endings.complete, batch_id)
    row = batch_row(database, batch_id)
    assert (row.status, row.succeeded, row.expired) == ("expired", 2, 2)


def test_a_deadline_that_is_not_over_closes_nothing(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, deadline_at=now() + 600)
    assert not run(database, closing.expire, batch_id)
    assert batch_row(database, batch_id).queued == 4


def test_a_batch_that_a_failed_item_ends_names_the_item_and_its_code(
    database: Database, model_id: str
) -> None:
    skipped = {"code": "file_skipped", "filename": "a.txt", "detail": "not an image"}
    batch_id = make_batch(
        database, model_id, items=4, per_chunk=2, on_error="abort", warnings=[skipped], webhook=WEBHOOK
    )
    recorded = record(database, must_claim(database), verdict=None, score=None, error_code="corrupt_image")
    assert recorded is not None
    assert recorded.abort
    assert run(database, closing.abort, batch_id)
    assert not run(database, closing.abort, batch_id)  # another worker's item failed too
    run(database, endings.complete, batch_id)
    row = batch_row(database, batch_id)
    assert (row.status, row.failed, row.cancelled) == ("cancelled", 2, 2)
    why, other = row.warnings
    assert (why["code"], why["filename"]) == ("aborted_on_error", "0.jpg")
    assert "corrupt_image" in why["detail"]
    assert other == skipped
    with database.read() as connection:
        body = json.loads(connection.scalars(select(Delivery.body)).one())
    assert why in body["data"]["warnings"]


def test_a_client_that_cancels_a_batch_gets_no_warning_of_a_failed_item(
    database: Database, model_id: str
) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2, on_error="abort")
    held = must_claim(database)
    assert run(database, closing.cancel, batch_id)
    record(database, held, verdict=None, score=None, error_code="corrupt_image")
    assert not run(database, closing.abort, batch_id)
    assert not batch_row(database, batch_id).warnings


def test_only_what_has_ended_is_purged(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, webhook=WEBHOOK)
    assert not run(database, purging.purge_rows, batch_id)
    assert batch_row(database, batch_id).total == 4
    record(database, must_claim(database))
    run(database, endings.complete, batch_id)
    assert run(database, purging.purge_rows, batch_id)
    with database.read() as connection:
        for table in (Batch, Chunk, Item):
            assert connection.execute(select(table.__table__)).all() == []
        # A delivery that is still owed outlives its batch: its body is kept with it.
        assert list(connection.scalars(select(Delivery.status))) == ["pending"]


def test_each_change_is_a_new_version_so_that_polls_see_it(database: Database, model_id: str) -> None:
    batch_id = make_batch(database, model_id, items=4, per_chunk=2)
    versions = [batch_row(database, batch_id).version]
    held = must_claim(database)
    versions.append(batch_row(database, batch_id).version)
    record(database, held)
    versions.append(batch_row(database, batch_id).version)
    run(database, closing.cancel, batch_id)
    versions.append(batch_row(database, batch_id).version)
    run(database, endings.complete, batch_id)
    versions.append(batch_row(database, batch_id).version)
    assert sorted(set(versions)) == versions
