"""A batch is deleted while messages about it are owed: each arrives, and nothing is left."""

import json
import time

from sqlalchemy import func, select

from shared.store.tables import Attempt, Delivery
from shared.webhooks import again
from tests.harness.application import Application
from tests.harness.endpoints import TOP, make, send_due
from tests.harness.receivers import Receiver, status
from worker.webhooks.telling import Teller


def delete(app: Application, batch_id: str) -> None:
    assert app.call("DELETE", f"/v1/batches/{batch_id}").status_code == 204


def left(app: Application) -> list[str]:
    with app.database.read() as connection:
        statuses = list(connection.scalars(select(Delivery.status)))
        assert statuses or connection.scalar(select(func.count()).select_from(Attempt)) == 0
    return statuses


def test_what_a_deleted_batch_owes_is_sent_and_then_goes(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    make(app, receiver.url, events=["batch.completed", "items.completed"])
    few = dict(list(images.items())[:3])
    batch = app.finished(few, {"webhook": {"url": receiver.url}})["id"]
    delete(app, batch)
    assert left(app) == ["pending"] * 3
    assert send_due(app) == ["delivered"] * 3
    told = [json.loads(body) for _, _, body in receiver.posts]
    assert sorted(each["type"] for each in told) == ["batch.completed", "batch.completed", "items.completed"]
    [items] = [each["data"]["data"] for each in told if each["type"] == "items.completed"]
    assert len(items) == 3
    assert left(app) == []
    assert Teller(app.database, "", lambda: None).tell_all() == 0


def test_what_has_ended_goes_with_the_batch_and_what_is_given_up_goes_later(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    few = dict(list(images.items())[:1])
    told = app.finished(few, {"webhook": {"url": receiver.url}})["id"]
    assert send_due(app) == ["delivered"]
    refused = app.finished(few, {"webhook": {"url": receiver.url}})["id"]
    delete(app, told)
    delete(app, refused)
    assert left(app) == ["pending"]
    receiver.replies = [status(410)]
    assert send_due(app) == ["exhausted"]
    assert left(app) == []


def test_what_is_held_outlives_the_batch_until_its_time_is_over(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    made = make(app, receiver.url, events=["batch.completed"])
    batch = app.finished(dict(list(images.items())[:1]))["id"]
    app.call("PATCH", f"{TOP}/{made['id']}", json={"enabled": False})
    delete(app, batch)
    assert left(app) == ["held"]
    with app.database.read() as connection:
        assert again.outlived(connection, time.time() - 60, 10) == []
        [outlived] = again.outlived(connection, time.time() + 60, 10)
    app.call("PATCH", f"{TOP}/{made['id']}", json={"enabled": True})
    assert send_due(app) == ["delivered"]
    assert left(app) == []
    assert receiver.posts[0][1]["webhook-id"] == outlived
