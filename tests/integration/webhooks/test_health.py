"""Endpoints that fail, are disabled, and catch up."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

from sqlalchemy import select, update

from shared.cli.doctor.webhooks import given_up
from shared.contract.webhook_endpoints import DISABLE_AFTER_S
from shared.store.tables import Attempt, Delivery, WebhookEndpoint
from tests.harness.application import Application
from tests.harness.endpoints import TOP, make, pass_time, seen, send_due, switch_model
from tests.harness.receivers import Receiver, status
from worker.upkeep.site import open_site
from worker.upkeep.steps import old_deliveries
from worker.webhooks.deliver import deliver


def test_an_endpoint_that_fails_is_warned_about_then_disabled_then_catches_up(
    app: Application, receiver: Receiver
) -> None:
    failing = make(app, receiver.url, events=["model.activated", "webhook_endpoint.disabled"])
    other_receiver = Receiver()
    other = make(app, other_receiver.url, events=["webhook_endpoint.disabled"])
    this = f"{TOP}/{failing['id']}"
    receiver.replies = [status(503)]
    switch_model(app)
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
    switch_model(app)  # waits next to the one that fails
    app.call("POST", f"{this}/test")
    assert send_due(app)[:1] in (["exhausted"], ["retry"])
    shown = app.get(this)
    assert (shown["enabled"], shown["disabled_reason"], shown["warnings"]) == (False, "failing", [])
    assert send_due(app) == ["delivered"], "the event of the other endpoint"
    [message] = seen(other_receiver)
    assert (message["type"], message["data"]) == ("webhook_endpoint.disabled", shown)
    entries = app.get(f"/v1/audit?action=webhook.disable&object_id={failing['id']}")["data"]
    assert [entry["detail"]["reason"] for entry in entries] == ["failing"]
    switch_model(app)  # while it is disabled
    assert send_due(app) == []
    held = app.get(f"{this}/deliveries?status=held")["data"]
    receiver.posts.clear()
    receiver.replies = [status(204)]
    assert app.call("PATCH", this, json={"enabled": True}).get_json()["failures"] == 0
    assert set(send_due(app)) == {"delivered"}
    assert {headers["webhook-id"] for _, headers, _ in receiver.posts} == {each["id"] for each in held}
    other_receiver.close()
    assert other["enabled"]


def endpoint_states(app: Application) -> dict[str, float]:
    """The gauge of the metrics: how many endpoints are in each state."""
    found = re.findall(r'gonogo_webhook_endpoints{state="(\w+)"} (\S+)', app.call("GET", "/metrics").text)
    return {state: float(number) for state, number in found}


def test_doctor_and_metrics_name_an_endpoint_that_fails_and_how_to_go_on(
    app: Application, receiver: Receiver
) -> None:
    made = make(app, receiver.url)
    receiver.replies = [status(503), status(503), status(503), status(410)]
    app.call("POST", f"{TOP}/{made['id']}/test")
    for _ in range(3):
        assert [finding.state for finding in given_up(app.service.settings)] == ["ok"]
        send_due(app)
        pass_time(app)
    assert endpoint_states(app) == {"enabled": 0, "failing": 1, "disabled": 0}
    [_, failing] = given_up(app.service.settings)
    assert f"endpoint {made['id']} of tenant default failed 3 times in a row" in failing.detail
    send_due(app)
    [_, disabled] = given_up(app.service.settings)
    assert "was disabled (gone)" in disabled.detail
    assert endpoint_states(app) == {"enabled": 0, "failing": 0, "disabled": 1}
    assert f"gonogo webhooks update {made['id']} --enable" in (disabled.mend or "")


def test_doctor_names_an_endpoint_that_has_failed_for_a_time_and_the_age_of_what_waits(
    app: Application, receiver: Receiver
) -> None:
    made = make(app, receiver.url)
    receiver.replies = [status(503)]
    app.call("POST", f"{TOP}/{made['id']}/test")
    assert send_due(app) == ["retry"]
    with app.database.write() as connection:
        ago = WebhookEndpoint.failing_since - 780
        connection.execute(update(WebhookEndpoint).values(failing_since=ago))
        connection.execute(update(Delivery).values(created_at=Delivery.created_at - 780))
    [waits, failing] = given_up(app.service.settings)
    assert (waits.state, failing.state) == ("ok", "problem")
    assert re.search(r"; 1 pending, the oldest for 7[89]\d s$", waits.detail)
    assert f"endpoint {made['id']} of tenant default failed 1 times in a row, since" in failing.detail


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
    switch_model(app)
    app.call("PATCH", this, json={"enabled": False})
    switch_model(app)  # no longer wanted
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


def test_tries_and_changes_at_once_never_wait_for_each_other_and_disable_once(
    app: Application, receiver: Receiver
) -> None:
    made = make(app, receiver.url)
    other_receiver = Receiver()
    make(app, other_receiver.url, events=["webhook_endpoint.disabled"])
    this = f"{TOP}/{made['id']}"
    pings = [app.call("POST", f"{this}/test").get_json()["id"] for _ in range(8)]
    together = threading.Barrier(5)

    def refuse(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)  # the others are in hand meanwhile
        status(410)(handler)

    receiver.replies = [refuse]

    def send(some: list[str]) -> list[str]:
        together.wait(30)
        return [deliver(app.database, app.service.settings, each) for each in some]

    def change() -> list[str]:
        together.wait(30)
        return [str(app.call("PATCH", this, json={"description": str(n)}).status_code) for n in range(20)]

    with ThreadPoolExecutor(5) as pool:
        tried = [pool.submit(send, pings[first::4]) for first in range(4)]
        changed = pool.submit(change)
        outcomes = [outcome for each in tried for outcome in each.result(60)]
    assert set(changed.result()) == {"200"}
    states = [each["status"] for each in app.get(f"{this}/deliveries")["data"]]
    assert set(states) <= {"exhausted", "held"}
    assert states.count("exhausted") == outcomes.count("exhausted") >= 1
    assert app.get(this)["disabled_reason"] == "gone"
    assert len(app.get(f"/v1/audit?action=webhook.disable&object_id={made['id']}")["data"]) == 1
    assert send_due(app) == ["delivered"], "one event, for the other endpoint"
    other_receiver.close()


def test_an_endpoint_that_takes_nothing_over_the_whole_schedule_is_disabled_after_three_days(
    app: Application, receiver: Receiver
) -> None:
    made = make(app, receiver.url)
    this, receiver.replies = f"{TOP}/{made['id']}", [status(503)]
    began = time.time() + 1
    times = [began]  # the last one is now

    def ping_until_it_ends() -> str:
        ping = app.call("POST", f"{this}/test").get_json()["id"]
        while (
            outcome := deliver(app.database, app.service.settings, ping, at=lambda _: times[-1])
        ) == "retry":
            if not app.get(this)["enabled"]:
                return "held"
            with app.database.read() as connection:
                times.append(
                    connection.execute(select(Delivery.due_at).where(Delivery.id == ping)).scalar_one()
                )
        return outcome

    first = ping_until_it_ends()
    shown = app.get(this)
    # The jitter of the waits decides on which side of three days the tenth try lies.
    if shown["enabled"]:
        assert (first, shown["failures"]) == ("exhausted", 10)
        assert times[-1] - began < DISABLE_AFTER_S
        times.append(began + DISABLE_AFTER_S)
        assert ping_until_it_ends() == "held"
        shown = app.get(this)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "failing")
    assert shown["failures"] in (10, 11)
    assert times[-1] - began >= DISABLE_AFTER_S
