"""Webhook endpoints over HTTP, and their messages to a real receiver."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from standardwebhooks.webhooks import Webhook

from shared.cli.doctor.webhooks import given_up
from shared.store.tables import Attempt, Delivery, WebhookEndpoint
from shared.webhooks import lines
from tests.harness.application import Application, application
from tests.harness.databases import empty_database_url
from tests.harness.receivers import Receiver, status
from worker.upkeep.site import open_site
from worker.upkeep.steps import old_deliveries
from worker.webhooks.deliver import deliver

TOP = "/v1/webhook-endpoints"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("hooks")
    changed = {"webhook_allowed_networks": "127.0.0.0/8", "public_url": "https://parts.example/gonogo"}
    with (
        empty_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url, **changed) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def _clean(app: Application) -> Iterator[None]:
    yield
    with app.database.write() as connection:
        for table in (Attempt, Delivery, WebhookEndpoint):
            connection.execute(delete(table))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def make(app: Application, url: str, **asked: Any) -> dict[str, Any]:
    answer = app.call("POST", TOP, json={"url": url, **asked})
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def send_due(app: Application) -> list[str]:
    """Try what is due, as the workers do; the outcomes."""
    with app.database.read() as connection:
        due = lines.due(connection, 100, time.time() + 1)
    return [deliver(app.database, app.service.settings, each) for each in due]


def pass_time(app: Application) -> None:
    """Let the waits of all pending deliveries end."""
    with app.database.write() as connection:
        connection.execute(update(Delivery).values(due_at=time.time() - 1))


def seen(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for _, _, body in receiver.posts]


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


def test_a_tenant_has_a_bounded_number_of_endpoints(app: Application) -> None:
    for number in range(50):
        make(app, f"https://receiver.example/{number}")
    answer = app.call("POST", TOP, json={"url": "https://receiver.example/51"})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "too_many_endpoints")


def test_the_message_of_a_finished_batch_is_the_batch_as_get_shows_it(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    made = make(app, receiver.url, events=["batch.completed"])
    make(app, receiver.url, events=["batch.completed"], filters={"line": ["B9"]})
    make(app, receiver.url, events=["batch.cancelled"])
    batch = app.finished(dict(list(images.items())[:2]), {"line": "A3", "metadata": {"shift": "früh"}})
    assert send_due(app) == ["delivered"]
    [(_, headers, body)] = receiver.posts
    message = Webhook(made["secret"]).verify(body, headers)
    assert (message["type"], headers["content-type"]) == ("batch.completed", "application/json")
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


def test_a_delivery_is_sent_again_under_its_id_and_a_time_is_replayed(
    app: Application, receiver: Receiver, images: dict[str, bytes]
) -> None:
    made = make(app, receiver.url, events=["batch.completed", "model.activated"])
    this, image = f"{TOP}/{made['id']}", dict(list(images.items())[:1])
    for _ in range(2):
        app.finished(image)
    assert app.call("POST", f"/v1/models/{app.model_id}/activate").status_code == 200
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
    activated = app.call("POST", f"/v1/models/{app.model_id}/activate").get_json()
    assert send_due(app) == ["delivered"]
    [message] = seen(receiver)
    here = app.service.settings.public_base
    assert message["data"] == json.loads(json.dumps(activated).replace("http://localhost", here))
    assert app.call("POST", f"/v1/models/{app.model_id}/activate?tenant=*").status_code == 200
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


def test_an_endpoint_that_fails_is_warned_about_then_disabled_then_catches_up(
    app: Application, receiver: Receiver
) -> None:
    failing = make(app, receiver.url, events=["model.activated", "webhook_endpoint.disabled"])
    other_receiver = Receiver()
    other = make(app, other_receiver.url, events=["webhook_endpoint.disabled"])
    this = f"{TOP}/{failing['id']}"
    receiver.replies = [status(503)]
    app.call("POST", f"/v1/models/{app.model_id}/activate")
    for _ in range(3):
        assert app.get(this)["warnings"] == []
        assert send_due(app) == ["retry"]
        pass_time(app)
    [warning] = app.get(this)["warnings"]
    assert warning["code"] == "endpoint_failing"
    assert "3 tries in a row have failed" in warning["detail"]
    for _ in range(6):
        assert send_due(app) == ["retry"]
        pass_time(app)
    assert app.get(this)["enabled"], "nine tries"
    with app.database.write() as connection:
        days_ago = WebhookEndpoint.failing_since - 3 * 86_400.0
        connection.execute(update(WebhookEndpoint).values(failing_since=days_ago))
    app.call("POST", f"/v1/models/{app.model_id}/activate")  # waits beside the one that fails
    app.call("POST", f"{this}/test")
    assert send_due(app)[:1] in (["exhausted"], ["retry"])
    shown = app.get(this)
    assert (shown["enabled"], shown["disabled_reason"], shown["warnings"]) == (False, "failing", [])
    assert send_due(app) == ["delivered"], "the event of the other endpoint"
    [message] = seen(other_receiver)
    assert (message["type"], message["data"]) == ("webhook_endpoint.disabled", shown)
    entries = app.get(f"/v1/audit?action=webhook.disable&object_id={failing['id']}")["data"]
    assert [entry["detail"]["reason"] for entry in entries] == ["failing"]
    app.call("POST", f"/v1/models/{app.model_id}/activate")  # while it is disabled
    assert send_due(app) == []
    held = app.get(f"{this}/deliveries?status=held")["data"]
    receiver.posts.clear()
    receiver.replies = [status(204)]
    assert app.call("PATCH", this, json={"enabled": True}).get_json()["failures"] == 0
    assert set(send_due(app)) == {"delivered"}
    assert {headers["webhook-id"] for _, headers, _ in receiver.posts} == {each["id"] for each in held}
    other_receiver.close()
    assert other["enabled"]


def test_the_doctor_names_an_endpoint_that_fails_and_how_to_go_on(
    app: Application, receiver: Receiver
) -> None:
    made = make(app, receiver.url)
    receiver.replies = [status(503), status(503), status(503), status(410)]
    app.call("POST", f"{TOP}/{made['id']}/test")
    for _ in range(3):
        assert [finding.state for finding in given_up(app.service.settings)] == ["ok"]
        send_due(app)
        pass_time(app)
    [_, failing] = given_up(app.service.settings)
    assert f"endpoint {made['id']} of tenant default failed 3 times in a row" in failing.detail
    send_due(app)
    [_, disabled] = given_up(app.service.settings)
    assert "was disabled (gone)" in disabled.detail
    assert f"gonogo webhooks update {made['id']} --enable" in (disabled.mend or "")


def test_deliveries_about_no_batch_go_after_the_retention(app: Application, receiver: Receiver) -> None:
    made = make(app, receiver.url)
    waiting = app.call("POST", f"{TOP}/{made['id']}/test").get_json()["id"]
    sent = app.call("POST", f"{TOP}/{made['id']}/test").get_json()["id"]
    deliver(app.database, app.service.settings, sent)
    aged = time.time() - app.service.settings.retention_s - 60
    site = open_site(app.service.settings)
    assert old_deliveries.find(site, 10) == []
    with app.database.write() as connection:
        connection.execute(update(Delivery).values(created_at=aged))
    assert old_deliveries.find(site, 10) == [sent]
    old_deliveries.mend(site, [sent])
    site.database.dispose()
    assert [each["id"] for each in app.get("/v1/webhook-deliveries")["data"]] == [waiting]


def test_a_success_ends_the_run_of_failures(app: Application, receiver: Receiver) -> None:
    made = make(app, receiver.url)
    receiver.replies = [status(500), status(204)]
    app.call("POST", f"{TOP}/{made['id']}/test")
    assert send_due(app) == ["retry"]
    assert app.get(f"{TOP}/{made['id']}")["failures"] == 1
    pass_time(app)
    assert send_due(app) == ["delivered"]
    shown = app.get(f"{TOP}/{made['id']}")
    assert (shown["failures"], shown["failing_since"]) == (0, None)


def test_a_disabled_endpoint_holds_what_waits_and_a_deleted_one_takes_it_along(
    app: Application, receiver: Receiver
) -> None:
    made = make(app, receiver.url, events=["model.activated"])
    this = f"{TOP}/{made['id']}"
    app.call("POST", f"/v1/models/{app.model_id}/activate")
    app.call("PATCH", this, json={"enabled": False})
    app.call("POST", f"/v1/models/{app.model_id}/activate")  # no longer wanted
    assert send_due(app) == []
    assert [each["status"] for each in app.get(f"{this}/deliveries")["data"]] == ["held"]
    moved = Receiver()
    app.call("PATCH", this, json={"enabled": True, "url": moved.url})
    assert send_due(app) == ["delivered"]
    assert (len(moved.posts), len(receiver.posts)) == (1, 0), "it follows the new URL"
    moved.close()
    app.call("DELETE", this)
    with app.database.read() as connection:
        assert connection.execute(select(Delivery.id)).all() == []
        assert connection.execute(select(Attempt.id)).all() == []
