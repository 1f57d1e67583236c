"""Events arrive, are listed with their tries, and are sent again."""

import json
import logging

import pytest
from standardwebhooks.webhooks import Webhook

from tests.harness.application import Application
from tests.harness.endpoints import TOP, make, seen, send_due, switch_model
from tests.harness.receivers import Receiver, status
from worker.webhooks.telling import Teller


def test_the_message_of_a_finished_batch_is_the_batch_as_get_shows_it(
    app: Application, receiver: Receiver, images: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "worker.inference.claim")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    made = make(app, receiver.url, events=["batch.completed"])
    make(app, receiver.url, events=["batch.completed"], filters={"line": ["B9"]})
    make(app, receiver.url, events=["batch.cancelled"])
    asked = {"line": "A3", "metadata": {"shift": "früh"}}
    batch = app.finished(dict(list(images.items())[:2]), asked, traceparent=trace)
    assert f"{batch['id']}, traceparent {trace}" in caplog.text, "the worker has it"
    assert send_due(app) == ["delivered"]
    [(_, headers, body)] = receiver.posts
    message = Webhook(made["secret"]).verify(body, headers)
    assert (message["type"], headers["content-type"]) == ("batch.completed", "application/json")
    assert headers["traceparent"] == trace
    assert message["data"]["links"]["self"] == f"https://parts.example/gonogo/v1/batches/{batch['id']}"
    here = app.service.settings.public_base
    shown = json.loads(json.dumps(batch).replace("http://localhost", here))
    assert message["data"] == shown
    [delivery] = app.get(f"{TOP}/{made['id']}/deliveries")["data"]
    assert delivery["id"] == headers["webhook-id"]
    assert (delivery["status"], delivery["batch_id"], delivery["url"]) == (
        "delivered",
        batch["id"],
        receiver.url,
    )
    assert [(each["status"], each["error"]) for each in delivery["attempts"]] == [(204, None)]
    assert delivery["payload"] == json.loads(body)


def test_the_verdicts_of_a_batch_come_as_a_cloudevent_each_as_get_shows_the_items(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    made = make(app, receiver.url, events=["items.completed"], format="cloudevents")
    batch = app.finished(dict(list(images.items())[:5]))
    assert Teller(app.database, "", lambda: None).tell_all() == 1
    assert send_due(app) == ["delivered"]
    [(_, headers, body)] = receiver.posts
    events = Webhook(made["secret"]).verify(body, headers)
    items = app.get(f"/v1/batches/{batch['id']}/items")["data"]
    assert [event["data"] for event in events] == items
    assert [event["subject"] for event in events] == [item["id"] for item in items]
    assert [event["id"] for event in events] == [f"{headers['webhook-id']}.{n}" for n in range(5)]


def test_a_delivery_is_sent_again_under_its_id_and_a_time_is_replayed(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    made = make(app, receiver.url, events=["batch.completed", "model.activated"])
    this, image = f"{TOP}/{made['id']}", dict(list(images.items())[:1])
    for _ in range(2):
        app.finished(image)
    switch_model(app)
    [first, *_] = app.get(f"{this}/deliveries?event=batch.completed&limit=1")["data"]
    again = f"/v1/webhook-deliveries/{first['id']}/redeliver"
    assert app.call("POST", again).status_code == 409, "it is pending"
    receiver.replies = [status(410), status(204)]
    assert sorted(send_due(app)) == ["exhausted", "not_due", "not_due"]
    assert app.get(this)["disabled_reason"] == "gone"
    assert app.call("POST", again).status_code == 409, "it is disabled"
    assert app.call("PATCH", this, json={"enabled": True}).get_json()["enabled"] is True
    assert sorted(send_due(app)) == ["delivered", "delivered"]
    [lost] = app.get("/v1/webhook-deliveries?status=exhausted")["data"]
    sent = app.call("POST", f"/v1/webhook-deliveries/{lost['id']}/redeliver").get_json()
    assert (sent["id"], sent["status"]) == (lost["id"], "pending")
    assert send_due(app) == ["delivered"]
    assert receiver.posts[-1][1]["webhook-id"] == lost["id"]
    assert [each["status"] for each in app.get(f"/v1/webhook-deliveries/{lost['id']}")["attempts"]] == [
        410,
        204,
    ]
    before = {headers["webhook-id"] for _, headers, _ in receiver.posts}
    receiver.posts.clear()
    asked = {"since": first["created_at"][:10] + "T00:00:00Z", "events": ["batch.completed"]}
    replayed = app.call("POST", f"{this}/replay", json=asked).get_json()
    assert replayed == {"object": "webhook_replay", "endpoint_id": made["id"], "deliveries": 2}
    assert send_due(app) == ["delivered", "delivered"]
    assert {headers["webhook-id"] for _, headers, _ in receiver.posts} < before
    none = app.call("POST", f"{this}/replay", json={"since": "2126-01-01T00:00:00Z"}).get_json()
    assert none["deliveries"] == 0


def test_an_activated_model_is_an_event(app: Application, receiver: Receiver) -> None:
    make(app, receiver.url, events=["model.activated"])
    activated = switch_model(app)
    assert send_due(app) == ["delivered"]
    [message] = seen(receiver)
    here = app.service.settings.public_base
    assert message["data"] == json.loads(json.dumps(activated).replace("http://localhost", here))
    again = app.call("POST", f"/v1/models/{activated['id']}/activate")
    assert (again.status_code, send_due(app)) == (200, []), "it is the active one"
    switch_model(app, "*")
    assert send_due(app) == ["delivered"], "the installation's default is an event of each tenant"


def test_pages_of_deliveries_hold_each_once(app: Application, receiver: Receiver) -> None:
    made = make(app, receiver.url)
    pings = {app.call("POST", f"{TOP}/{made['id']}/test").get_json()["id"] for _ in range(7)}
    for path in (f"{TOP}/{made['id']}/deliveries?limit=3", "/v1/webhook-deliveries?limit=3&event=test.ping"):
        found, cursor = [], ""
        while True:
            page = app.get(path + cursor)
            found += [each["id"] for each in page["data"]]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == sorted(pings, reverse=True)
    assert app.get("/v1/webhook-deliveries?status=delivered")["data"] == []
    foreign = app.make_key("elsewhere", "admin")
    assert app.get("/v1/webhook-deliveries", key=foreign)["data"] == []
