"""Webhook endpoints of a test: made over HTTP, and their deliveries tried as the workers do."""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import update

from shared.registry import versions
from shared.registry.artifact import read_artifact
from shared.store.tables import Delivery
from shared.webhooks import lines
from tests.harness.application import Application
from tests.harness.artifacts import write_untrained
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


def switch_model(app: Application, tenant: str = "") -> dict[str, Any]:
    """Activate a ready version that is not active, which is an event; the version as the answer shows it."""
    of_tenant = f"?tenant={tenant}" if tenant else ""
    models = app.get(f"/v1/models{of_tenant}")["data"]
    idle = [model["id"] for model in models if not model["active"] and model["status"] == "ready"]
    if not idle:
        with tempfile.TemporaryDirectory() as folder:
            artifact = read_artifact(write_untrained(Path(folder) / "another.gonogo", seed=9))
            idle = [versions.register(app.database, app.service.blobs, artifact)]
    answer = app.call("POST", f"/v1/models/{idle[0]}/activate{of_tenant}")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def pass_time(app: Application) -> None:
    """Let the waits of all pending deliveries end."""
    with app.database.write() as connection:
        connection.execute(update(Delivery).values(due_at=time.time() - 1))


def seen(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for _, _, body in receiver.posts]
