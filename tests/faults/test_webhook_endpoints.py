"""Row 48: an endpoint is down, slow, redirects and comes back; each event arrives under one `webhook-id`."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from sqlalchemy import select, update
from standardwebhooks.webhooks import Webhook

from shared.store.records import AttemptRecord, DeliveryRecord
from shared.store.tables import Attempt, Delivery
from tests.faults.rig import Rig
from tests.harness.processes import free_port, until
from tests.harness.receivers import Receiver, status

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)
_BATCHES, _IMAGES, _VIEWS = 4, 6, 2
_WANTED = _BATCHES * (1 + _IMAGES // _VIEWS)
_TIMEOUT_S = "1"


def too_slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(2)
    status(204)(handler)


def deliveries(ill: Rig, endpoint_id: str) -> list[DeliveryRecord]:
    query = select(Delivery.__table__).where(Delivery.endpoint_id == endpoint_id)
    with ill.database.read() as connection:
        return list(map(DeliveryRecord._make, connection.execute(query)))


def tries(ill: Rig, endpoint_id: str) -> list[AttemptRecord]:
    query = select(Attempt.__table__).join(Delivery, Delivery.id == Attempt.delivery_id)
    with ill.database.read() as connection:
        return list(
            map(AttemptRecord._make, connection.execute(query.where(Delivery.endpoint_id == endpoint_id)))
        )


def end_waits(ill: Rig) -> None:
    """Let every waiting delivery be due; a try in hand keeps its claim."""
    with ill.database.write() as connection:
        waiting = update(Delivery).where(Delivery.due_at > time.time() + 30)
        connection.execute(waiting.values(due_at=time.time() - 1))


def die_with_a_post_in_hand(ill: Rig, life: int) -> None:
    """A worker dies when it has posted a message, before it records the outcome."""
    point = f"deliver.posted=kill*{life + 1}"
    ill.restart("webhooks", point, wait=False, GONOGO_WEBHOOK_TIMEOUT_S=_TIMEOUT_S)
    end_waits(ill)
    until(lambda: ill.fired("deliver.posted") > life, 60, "a worker dies with a post in hand")
    ill.stack.kill_group("webhooks")


def next_tries(ill: Rig, endpoint_id: str, count: int, what: str) -> None:
    """End all waits, and wait until the workers have recorded so many further tries."""
    before = len(tries(ill, endpoint_id))
    end_waits(ill)
    until(lambda: len(tries(ill, endpoint_id)) >= before + count, 60, what)


@pytest.mark.row(48)
def test_each_event_arrives_under_one_id_after_every_fault_of_the_receiver_and_deaths_of_the_worker(
    ill: Rig, many: Many
) -> None:
    port, elsewhere, healthy = free_port(), Receiver(), Receiver()
    asked: Any = {"url": f"http://127.0.0.1:{port}/hook", "events": ["batch.completed", "part.completed"]}
    other: Any = {**asked, "url": healthy.url}
    narrow: Any = {**other, "filters": {"line": ["none"]}}
    receiver = None
    with ill.stack.client() as client:
        ailing: Any = client.create_webhook(asked)
        steady: Any = client.create_webhook(other)
        choosy = client.create_webhook(narrow)
    try:
        ill.restart("webhooks", wait=False, GONOGO_WEBHOOK_TIMEOUT_S=_TIMEOUT_S)
        for _ in range(_BATCHES):
            ill.finish(ill.submit(many(_IMAGES), views=_VIEWS))
        until(lambda: len(deliveries(ill, ailing["id"])) == _WANTED, 60, "every event is owed")
        next_tries(ill, ailing["id"], _WANTED, "it is down: tries are refused")
        receiver = Receiver(port)
        receiver.replies = [too_slow]
        next_tries(ill, ailing["id"], 2, "it is slow: tries time out")
        ill.restart("sweep")
        receiver.replies = [status(302, Location=elsewhere.url)]
        ill.stack.kill_group("webhooks", signal.SIGKILL)
        for life in range(3):
            die_with_a_post_in_hand(ill, life)
        ill.restart("webhooks", wait=False, GONOGO_WEBHOOK_TIMEOUT_S=_TIMEOUT_S)
        next_tries(ill, ailing["id"], _WANTED, "it redirects: tries fail")
        receiver.posts.clear()
        receiver.replies = [status(204)]

        end_waits(ill)

        def arrived() -> bool:
            rows = [*deliveries(ill, ailing["id"]), *deliveries(ill, steady["id"])]
            return all(row.status == "delivered" for row in rows)

        until(arrived, 90, "everything is delivered")
        assert elsewhere.posts == [], "no redirect was followed"
        for endpoint, took in ((ailing, receiver.posts), (steady, healthy.posts)):
            rows = deliveries(ill, endpoint["id"])
            owed = Counter((row.batch_id, row.event, row.subject) for row in rows)
            assert len(owed) == _WANTED
            assert set(owed.values()) == {1}
            assert {headers["webhook-id"] for _, headers, _ in took} == {row.id for row in rows}
            for _, headers, body in took:
                Webhook(endpoint["secret"]).verify(body, headers)
        messages = Counter(json.loads(body)["type"] for _, _, body in receiver.posts)
        assert messages == {"batch.completed": _BATCHES, "part.completed": _WANTED - _BATCHES}
        assert deliveries(ill, choosy["id"]) == []
        errors = " ".join(row.error or "" for row in tries(ill, ailing["id"]))
        for said in ("refused", "no answer within 1 s", "redirects are not followed (302"):
            assert said in errors, said
        ill.proof(
            f"{_WANTED} events each, {len(tries(ill, ailing['id']))} tries: refused, slow and redirected ones; "
            f"{ill.fired('deliver.posted')} deaths with posts in hand"
        )
        ill.check()
    finally:
        with ill.stack.client() as client:
            for endpoint in (ailing, steady, choosy):
                client.delete_webhook(endpoint["id"])
        for one in (receiver, elsewhere, healthy):
            if one is not None:
                one.close()
        if "webhooks" in ill.stack.processes:
            ill.stack.kill_group("webhooks")
