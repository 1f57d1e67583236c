"""A chunk's message is Celery's own, sent without Celery."""

import json
from pathlib import Path
from typing import Any

from shared.broker import messages, queues
from shared.broker.connection import open_broker
from shared.broker.tasks import celery_app
from tests.harness.stack import running


def without_ids(raw: bytes | str) -> dict[str, Any]:
    """A message as pushed to the broker, but for what is new in each."""
    message: dict[str, Any] = json.loads(raw)
    ids = {message["headers"].pop("id"), message["headers"].pop("root_id")}
    assert ids == {message["properties"].pop("correlation_id")}, "one task id"
    assert message["properties"].pop("delivery_tag") not in ids
    del message["properties"]["reply_to"]  # the sending thread, for results that are never read
    return message


def test_a_chunk_message_is_what_celery_would_send_with_ids_of_its_own(
    artifact: Path, tmp_path: Path
) -> None:
    with running(tmp_path, [artifact], "web") as stack:
        broker = open_broker(stack.settings)
        with celery_app(stack.settings) as celery:
            celery.send_task(queues.INFER, args=["low"], queue="low")
        assert messages.ChunkMessages(broker).send("low", 2)
        celerys, first, second = reversed(broker.client.lrange(broker.key("low"), 0, -1))
    assert without_ids(celerys) == without_ids(first) == without_ids(second)
    assert json.loads(first)["headers"]["id"] != json.loads(second)["headers"]["id"]
    assert json.loads(first)["properties"]["delivery_tag"] != json.loads(second)["properties"]["delivery_tag"]
