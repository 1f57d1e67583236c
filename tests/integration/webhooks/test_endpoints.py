"""Webhook endpoints over HTTP, and how their messages are signed and written."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update
from standardwebhooks.webhooks import Webhook

from shared.store.tables import WebhookEndpoint
from tests.harness.application import Application
from tests.harness.endpoints import TOP, make, send_due
from tests.harness.receivers import Receiver


def test_an_endpoint_is_made_shown_changed_and_deleted(app: Application) -> None:
    made = make(app, "https://receiver.example/hook", description="MES")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["id"].startswith("whe_")
    assert made["events"] == ["batch.completed", "batch.failed", "batch.cancelled", "batch.expired"]
    assert (made["enabled"], made["format"], made["filters"]) == (True, "standard", {})
    this = f"{TOP}/{made['id']}"
    assert app.get(this) == made
    assert app.get(TOP)["data"] == [made]
    asked = {"events": ["model.activated"], "filters": {"line": ["A3"]}, "description": None}
    changed = app.call("PATCH", this, json=asked).get_json()
    assert changed == {**made, **asked}
    for answer in (app.call("GET", this), app.call("PATCH", this, json={}), app.call("GET", TOP)):
        assert secret not in answer.text
    assert app.call("DELETE", this).status_code == 204
    assert app.call("GET", this).status_code == 404


def test_a_repeated_creation_shows_the_same_endpoint_and_its_secret(app: Application) -> None:
    asked = {"url": "https://receiver.example/hook", "events": ["batch.completed"]}
    answers = [app.call("POST", TOP, json=asked, Idempotency_Key="k-1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].get_json() == answers[1].get_json()
    other = app.call("POST", TOP, json={**asked, "format": "cloudevents"}, Idempotency_Key="k-1")
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")
    assert app.call("POST", TOP, json=asked, Idempotency_Key="").status_code == 400
    assert len(app.get(TOP)["data"]) == 1


def test_one_key_sent_by_many_at_once_makes_one_endpoint(app: Application) -> None:
    asked = {"url": "https://receiver.example/hook"}
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(app.call, "POST", TOP, json=asked, Idempotency_Key="k-2") for _ in range(12)]
        answers = [each.result(60) for each in sent]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len(app.get(TOP)["data"]) == 1


@pytest.mark.parametrize(
    ("asked", "pointer", "code"),
    [
        ({"url": "http://10.0.0.1/hook"}, "/url", 422),
        ({"url": "ftp://receiver.example"}, "/url", 400),
        ({"events": ["no.such"]}, "/events/0", 400),
        ({"events": []}, "/events", 400),
        ({"events": ["test.ping"]}, "/events/0", 400),
        ({"filters": {"colour": ["red"]}}, "/filters/colour", 400),
        ({"filters": {"verdict": ["ugly"]}}, "/filters/verdict/0", 400),
        ({"filters": {"metadata": {"a": {"b": 1}}}}, "/filters/metadata/a", 400),
        ({"format": "xml"}, "/format", 400),
        ({"secret": "short"}, "/secret", 400),
        ({"enabled": "yes"}, "/enabled", 400),
    ],
)
def test_what_an_endpoint_cannot_have_is_refused_with_a_pointer(
    app: Application, asked: dict[str, Any], pointer: str, code: int
) -> None:
    answer = app.call("POST", TOP, json={"url": "https://receiver.example/hook", **asked})
    assert answer.status_code == code, answer.text
    pointers = [entry["pointer"] for entry in answer.get_json()["errors"]]
    assert all(each.startswith(pointer) for each in pointers), pointers


def test_filters_by_metadata_are_kept_as_sent_and_find_numbers_by_value(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    few = dict(list(images.items())[:1])
    sent = {"cell": 4, "gain": 1.5, "urgent": True, "shift": "early"}
    made = make(app, receiver.url, events=["batch.completed"], filters={"metadata": sent})
    assert json.dumps(made["filters"]["metadata"], sort_keys=True) == json.dumps(sent, sort_keys=True)
    app.finished(few, {"metadata": {**sent, "cell": 5}})
    assert send_due(app) == []
    app.finished(few, {"metadata": {**sent, "cell": 4.0}})
    assert send_due(app) == ["delivered"]


def test_a_tenant_has_a_bounded_number_of_endpoints(app: Application) -> None:
    for number in range(50):
        make(app, f"https://receiver.example/{number}")
    answer = app.call("POST", TOP, json={"url": "https://receiver.example/51"})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "too_many_endpoints")


def test_cloudevents_come_as_a_batch_whose_signature_holds(app: Application, receiver: Receiver) -> None:
    made = make(app, receiver.url, format="cloudevents")
    ping = app.call("POST", f"{TOP}/{made['id']}/test").get_json()
    assert send_due(app) == ["delivered"]
    [(_, headers, body)] = receiver.posts
    assert headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    [event] = Webhook(made["secret"]).verify(body, headers)
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", ping["id"], "test.ping")
    assert event["source"] == "https://parts.example/gonogo"
    assert event["data"] == app.get(f"{TOP}/{made['id']}")
    assert event["time"] == ping["payload"]["timestamp"]


def test_two_secrets_sign_until_the_grace_is_over(app: Application, receiver: Receiver) -> None:
    made = make(app, receiver.url)
    this = f"{TOP}/{made['id']}"
    rotated = app.call("POST", f"{this}/rotate-secret", json={"grace": 3600}).get_json()
    assert rotated["secret"] != made["secret"]
    assert rotated["old_secret_until"] is not None
    assert "secret" not in app.get(this)
    app.call("POST", f"{this}/test")
    send_due(app)
    [(_, headers, body)] = receiver.posts
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(body, headers)
    with app.database.write() as connection:
        connection.execute(update(WebhookEndpoint).values(old_secret_until=time.time() - 1))
    assert app.get(this)["old_secret_until"] is None
    app.call("POST", f"{this}/test")
    send_due(app)
    (_, headers, body) = receiver.posts[-1]
    assert len(headers["webhook-signature"].split()) == 1
    Webhook(rotated["secret"]).verify(body, headers)
    at_once = app.call("POST", f"{this}/rotate-secret", json={"grace": 0}).get_json()
    assert at_once["old_secret_until"] is None
