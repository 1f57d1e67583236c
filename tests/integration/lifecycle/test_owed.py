"""Events are owed once to each receiver that wants them: the batch's own webhook, and endpoints of its tenant."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select, update

from shared.contract.batches import batch_payload
from shared.ids import new_id
from shared.lifecycle import endings
from shared.store.engine import Database
from shared.store.lines import host_of
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Delivery, WebhookEndpoint
from shared.webhooks import owed, receivers
from tests.harness.rows import batch_row, make_batch, must_claim, record, run

WEBHOOK = {"url": "https://receiver.example", "secret": "whsec_x", "events": None}


@pytest.fixture(autouse=True)
def _no_endpoint_stays(database: Database) -> Iterator[None]:
    yield
    with database.write() as connection:
        connection.execute(delete(WebhookEndpoint))


def make_endpoint(database: Database, *events: str, tenant: str = "t", **changed: Any) -> str:
    row: dict[str, Any] = {
        "id": new_id("whe"), "tenant": tenant, "url": "http://127.0.0.1:9/hook", "filters": {}, "secret": "whsec_y",
        "events": f" {' '.join(events)} ", "format": "standard", "enabled": True, "failures": 0, "created_at": 1.0,
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(WebhookEndpoint).values(**{**row, **changed}))
    return str(row["id"])


def row_of(database: Database, batch_id: str) -> BatchRecord:
    return BatchRecord._make(batch_row(database, batch_id))


def deliveries(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(Delivery.__table__).order_by(Delivery.id)))


def test_the_end_of_a_batch_is_owed_to_its_webhook_and_to_each_endpoint_that_wants_it(
    database: Database, model_id: str
) -> None:
    wanted = ("batch.completed", "item.defect_detected")
    taking = [make_endpoint(database, *wanted), make_endpoint(database, *wanted)]
    taking.append(make_endpoint(database, *wanted, filters={"verdict": ["defect"], "line": ["A3"]}))
    make_endpoint(database, *wanted, filters={"verdict": ["no_defect"]})
    make_endpoint(database, *wanted, filters={"metadata": {"shift": "late"}})
    make_endpoint(database, "batch.cancelled")
    make_endpoint(database, *wanted, tenant="other")
    make_endpoint(database, *wanted, enabled=False, disabled_reason="by_request")
    held = make_endpoint(database, *wanted, enabled=False, disabled_reason="failing")
    batch_id = make_batch(database, model_id, webhook=WEBHOOK, line="A3", metadata_={"shift": "early"})
    record(database, must_claim(database))
    completed = run(database, endings.complete, batch_id)
    rows = deliveries(database)
    assert {(row.endpoint_id, row.status) for row in rows} == {
        ("", "pending"), *((each, "pending") for each in taking), (held, "held"),
    }  # fmt: skip
    assert set(completed.deliveries) == {row.id for row in rows}
    assert len({row.line for row in rows}) == len(rows), "each receiver has a line of its own"
    assert {host_of(row.line) for row in rows} == {"receiver.example t", "127.0.0.1:9 t"}
    assert all((row.url, row.secret) == ("", "") for row in rows if row.endpoint_id)
    assert len({row.body for row in rows}) == 1
    with database.read() as connection:
        shown = batch_payload(
            row_of(database, batch_id), model=owed.model_of(connection, row_of(database, batch_id))
        )
    body = json.loads(rows[0].body)
    assert {**body["data"], "eta": None} == {**json.loads(json.dumps(shown)), "eta": None}
    assert body["data"]["model"]["id"] == model_id


def test_an_event_that_is_owed_twice_is_one_delivery_for_each_receiver_and_run(
    database: Database, model_id: str
) -> None:
    endpoint = make_endpoint(database, "item.defect_detected")
    webhook = {**WEBHOOK, "events": ["item.defect_detected"]}
    batch = row_of(database, make_batch(database, model_id, webhook=webhook))

    def owe(subject: str, **changed: Any) -> None:
        happened = owed.Event("item.defect_detected", {"id": subject}, 1.0, subject)
        with database.write() as connection:
            owed.owe_event(connection, happened, tenant="t", batch=batch._replace(**changed))

    for _ in range(2):
        owe("itm_1")
    assert [row.endpoint_id for row in deliveries(database)] == ["", endpoint]
    owe("itm_2")
    owe("itm_1", run=2)
    assert len(deliveries(database)) == 6


def test_nobody_listening_costs_one_statement_and_a_condition_answers_for_none(
    database: Database, model_id: str
) -> None:
    batch = row_of(database, make_batch(database, model_id))
    happened = owed.Event("item.defect_detected", {}, 1.0)
    statements: list[str] = []

    def count(*call: Any) -> None:
        statements.append(call[2])

    with database.write() as connection:
        event.listen(database.engine, "before_cursor_execute", count)
        try:
            assert owed.owe_event(connection, happened, tenant="t", batch=batch) == ()
        finally:
            event.remove(database.engine, "before_cursor_execute", count)
    assert len(statements) == 1
    asked = select(receivers.listening(Batch.tenant, "item.defect_detected", "items.completed"))
    asked = asked.where(Batch.id == batch.id)
    with database.read() as connection:
        assert not connection.scalar(asked)
    make_endpoint(database, "batch.completed", "items.completed")
    with database.write() as connection:
        assert connection.scalar(asked)
        connection.execute(update(WebhookEndpoint).values(enabled=False, disabled_reason="gone"))
        assert not connection.scalar(asked)
