"""A broker that is away costs a sender no time: the message is only a hint."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from shared.broker import messages, queues
from shared.broker.tasks import celery_app
from shared.settings import Settings
from tests.harness.processes import free_port


@pytest.mark.parametrize("kind", ["socket", "port"])
def test_a_send_to_a_broker_that_is_away_fails_at_once(tmp_path: Path, kind: str) -> None:
    url = {
        "socket": f"unix://{tmp_path / 'valkey.sock'}",
        "port": f"redis://127.0.0.1:{free_port()}",
    }[kind]
    settings = replace(Settings(), broker_url=url, installation="test")
    with celery_app(settings) as celery:
        began = time.monotonic()
        assert not messages.send(celery, queues.DELIVER, ["whd_1"], queues.WEBHOOKS)
        assert time.monotonic() - began < 2
