"""`gonogo webhooks` against a running stack, with a receiver on loopback."""

import json
from typing import Any

from standardwebhooks.webhooks import Webhook

from shared.client import verify_webhook
from tests.harness.images import jpegs
from tests.harness.processes import until
from tests.harness.receivers import Receiver, status
from tests.harness.service import Up, gonogo


def test_an_endpoint_is_made_tested_repaired_and_replayed_from_the_command_line(up: Up) -> None:
    receiver = Receiver()

    def run(*argv: str, expect: int = 0) -> str:
        done = gonogo("webhooks", *argv, "--data-dir", str(up.data_dir))
        assert done.returncode == expect, done.stderr
        return done.stdout if expect == 0 else done.stderr

    def known(*argv: str) -> Any:
        return json.loads(run(*argv, "--json"))

    def delivered(count: int) -> list[Any]:
        found = known("deliveries", endpoint, "--status", "delivered")
        return found if len(found) == count else []

    made = run("create", receiver.url, "--event", "batch.completed", "--metadata", "shift=early")
    endpoint, secret = made.split()
    [shown] = known("list")
    assert (shown["id"], shown["filters"]) == (endpoint, {"metadata": {"shift": "early"}})
    assert "secret" not in shown
    run("test", endpoint)
    until(lambda: receiver.posts, 30, "the ping arrives")
    (_, headers, body) = receiver.posts[0]
    assert verify_webhook(secret, headers, body)["type"] == "test.ping"
    until(lambda: delivered(1), 30, "the try is recorded")

    receiver.replies = [status(410), status(204)]
    with up.client() as client:
        for shift in ("early", "late"):
            batch = client.submit(jpegs(1, seed=3), {"metadata": {"shift": shift}})
            client.wait(batch["id"])
    until(lambda: "disabled (gone)" in run("list"), 30, "410 disables it")
    [lost] = [
        each for each in known("deliveries", "--status", "exhausted") if each["endpoint_id"] == endpoint
    ]
    assert "410" in run("deliveries", endpoint)
    assert "is disabled" in run("redeliver", lost["id"], expect=1)
    assert "enabled" in run("update", endpoint, "--enable", "--description", "MES", "--no-filters")
    rotated = run("rotate", endpoint, "--grace", "1h").strip()
    run("redeliver", lost["id"])
    until(lambda: delivered(2), 30, "it is sent again")
    (_, headers, body) = receiver.posts[-1]
    assert headers["webhook-id"] == lost["id"]
    for each in (secret, rotated):
        assert Webhook(each).verify(body, headers)["data"]["metadata"] == {"shift": "early"}
    assert run("replay", endpoint, "--since", "2026-01-01", "--event", "batch.completed").startswith("1 ")
    until(lambda: len(receiver.posts) == 4, 30, "it is replayed")
    assert run("update", endpoint, expect=2).startswith("gonogo: say what to change")
    run("delete", endpoint)
    assert known("list") == []
    receiver.close()
