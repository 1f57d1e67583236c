"""Pages of deliveries and the receivers of an event are looks into an index, however many deliveries there are."""

import json
import time

import pytest
from sqlalchemy import insert, text

from shared.ids import new_id
from shared.store.tables import Delivery
from tests.harness.application import Application
from tests.harness.endpoints import TOP, make
from tests.harness.plans import plan, statements


def fill(app: Application, endpoint_id: str, count: int) -> None:
    """Deliveries of this endpoint, and many of other tenants and endpoints."""
    rows = [
        {
            "id": new_id("whd"), "tenant": "default" if number % 50 == 0 else f"t{number % 7}", "batch_id": "",
            "event": "batch.completed", "subject": str(number), "url": "", "secret": "", "body": "{}",
            "endpoint_id": endpoint_id if number % 50 == 0 else f"whe_{number % 90}", "status": "delivered",
            "attempts": 1, "due_at": 1.0, "created_at": time.time(), "line": "x",
        }
        for number in range(count)
    ]  # fmt: skip
    with app.database.write() as connection:
        connection.execute(insert(Delivery), rows)
        connection.execute(text("ANALYZE webhook_deliveries"))


@pytest.mark.parametrize(
    ("path", "indexes"),
    [
        ("/v1/webhook-deliveries?limit=20", ("ix_deliveries_tenant",)),
        ("/v1/webhook-deliveries?status=exhausted,held&event=batch.completed", ("ix_deliveries_tenant",)),
        (TOP + "/{id}/deliveries?limit=20", ("ix_deliveries_endpoint",)),
    ],
)
def test_a_page_of_deliveries_comes_by_an_index(
    app: Application, path: str, indexes: tuple[str, ...]
) -> None:
    made = make(app, "https://receiver.example/hook")
    fill(app, made["id"], 20_000)
    path = path.replace("{id}", made["id"])
    app.get(path)  # the key is known from now on
    with statements(app.database.engine) as seen:
        app.get(path)
    plans = [
        plan(app.database, statement, given)
        for statement, given in seen
        if "FROM webhook_deliver" in statement
    ]
    assert len(plans) == 1
    assert any(index in plans[0] for index in indexes), json.dumps(plans, indent=1)
    for whole in ("Seq Scan", "SCAN webhook_deliveries"):
        assert whole not in plans[0], plans[0]
