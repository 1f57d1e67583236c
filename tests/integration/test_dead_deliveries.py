"""A webhook that its receiver refuses for good shows on the batch, on its page, in the metrics and in the doctor."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select, update

from shared.cli.doctor.webhooks import given_up
from shared.store.tables import Delivery
from tests.harness.application import Application, application
from tests.harness.receivers import Receiver, status
from worker.webhooks.deliver import deliver


@pytest.fixture
def app(tmp_path: Path, artifact: Path, broker_url: str) -> Iterator[Application]:
    with application(tmp_path, artifact, broker_url, webhook_allowed_networks="127.0.0.0/8") as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def samples(app: Application, name: str) -> dict[str, float]:
    text = app.call("GET", "/metrics").text
    return {
        ",".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_a_delivery_that_was_given_up_shows_everywhere(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    settings = app.service.settings
    batch = app.finished(dict(list(images.items())[:1]), {"webhook": {"url": receiver.url}})
    before = app.call("GET", f"/v1/batches/{batch['id']}")
    with app.database.read() as connection:
        (identifier,) = connection.scalars(select(Delivery.id)).all()
    assert [finding.state for finding in given_up(settings)] == ["ok"]
    assert samples(app, "gonogo_deliveries") == {"pending": 1, "exhausted": 0}

    receiver.replies = [status(410, b"no more")]
    assert deliver(app.database, settings, identifier) == "exhausted"
    after = app.call("GET", f"/v1/batches/{batch['id']}", If_None_Match=before.headers["ETag"])
    assert after.status_code == 200, "a poll that knows the batch of before sees the change"
    (warning, *others) = after.get_json()["warnings"]
    assert others == before.get_json()["warnings"]
    assert warning["code"] == "webhook_exhausted"
    assert "batch.completed was given up after 1 tries" in warning["detail"]
    assert "410" in warning["detail"]
    page = app.call("GET", f"/batches/{batch['id']}")
    assert "batch.completed was given up" in page.text
    assert samples(app, "gonogo_deliveries") == {"pending": 0, "exhausted": 1}
    assert samples(app, "gonogo_delivery_tries_total")["exhausted"] == 1
    (found,) = given_up(settings)
    assert (found.state, found.detail) == ("problem", "1 deliveries given up in the last day, 0 before")

    with app.database.write() as connection:
        connection.execute(update(Delivery).values(finished_at=Delivery.finished_at - 90_000.0))
    (found,) = given_up(settings)
    assert (found.state, found.detail) == ("ok", "0 deliveries given up in the last day, 1 before")


def test_a_delivery_that_came_through_leaves_no_warning_and_is_counted(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    batch = app.finished(dict(list(images.items())[:1]), {"webhook": {"url": receiver.url}})
    with app.database.read() as connection:
        (identifier,) = connection.scalars(select(Delivery.id)).all()
    receiver.replies = [status(204)]
    assert deliver(app.database, app.service.settings, identifier) == "delivered"
    assert app.get(f"/v1/batches/{batch['id']}")["warnings"] == batch["warnings"]
    assert samples(app, "gonogo_delivery_tries_total") == {"delivered": 1, "retry": 0, "exhausted": 0}
    stages = samples(app, "gonogo_stage_seconds_count")
    assert (stages["post"], stages["deliver"]) == (1, 1)
