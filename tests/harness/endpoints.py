"""Webhook endpoints of a test: made over HTTP, and their deliveries tried as the workers do."""

import json
import time
from typing import Any

from sqlalchemy import update

from shared.store.tables import Delivery
from shared.webhooks import lines
from tests.harness.application import Application
from tests.harness.receivers import Receiver
from worker.webhooks.deliver import deliver

TOP = "/v1/webhook-endpoints"


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
