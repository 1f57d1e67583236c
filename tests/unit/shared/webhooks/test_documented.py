"""docs/webhooks.md: its snippets verify real signatures, and its schedule is that of the code."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from shared.contract.events import ENDPOINT_EVENTS, TEST_PING
from shared.contract.webhook_endpoints import DISABLE_AFTER_FAILURES, DISABLE_AFTER_S, WARN_AFTER_FAILURES
from shared.webhooks.signing import new_secret, sign
from worker.webhooks.deliver import JITTER, WAITS_S

PAGE = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text(encoding="utf-8")
BODY = json.dumps({"type": "batch.completed", "data": {"name": "Prüfstand 3"}}, ensure_ascii=False).encode()


def snippet(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def message(secret: str, *others: str, at: float = 0.0) -> dict[str, str]:
    """The headers of a message that is signed with these secrets, `at` seconds from now."""
    sent = int(time.time() + at)
    signatures = " ".join(sign(each, "whd_1", sent, BODY) for each in (secret, *others))
    return {"webhook-id": "whd_1", "webhook-timestamp": str(sent), "webhook-signature": signatures}


def cases() -> list[tuple[str, str, dict[str, str], bytes, bool]]:
    mine, other = new_secret(), new_secret()
    return [
        ("genuine", mine, message(mine), BODY, True),
        ("two signatures", mine, message(other, mine), BODY, True),
        ("another secret", mine, message(other), BODY, False),
        ("another body", mine, message(mine), BODY + b" ", False),
        ("too old", mine, message(mine, at=-400), BODY, False),
        ("no signature", mine, {**message(mine), "webhook-signature": ""}, BODY, False),
    ]


def test_the_python_snippet_takes_genuine_messages_alone() -> None:
    names: dict[str, Any] = {}
    exec(snippet("python"), names)
    for what, secret, headers, body, genuine in cases():
        if genuine:
            assert names["verified"](secret, headers, body) == json.loads(BODY), what
        else:
            with pytest.raises(WebhookVerificationError):
                names["verified"](secret, headers, body)


def test_the_node_snippet_takes_genuine_messages_alone() -> None:
    if shutil.which("node") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs node on the PATH")
    script = (
        snippet("node")
        + """
    const cases = JSON.parse(require("node:fs").readFileSync(0));
    console.log(JSON.stringify(cases.map(([secret, headers, body]) => {
      try { return verified(secret, headers, Buffer.from(body, "base64")); } catch (error) { return error.message; }
    })));
    """
    )
    given = [(secret, headers, base64.b64encode(body).decode()) for _, secret, headers, body, _ in cases()]
    done = subprocess.run(
        ["node", "-e", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers = json.loads(done.stdout)
    assert answers == [
        json.loads(BODY), json.loads(BODY), "wrong signature", "wrong signature", "too old, or from the future",
        "wrong signature",
    ]  # fmt: skip


def test_the_page_states_the_schedule_and_the_rules_of_the_code() -> None:
    seconds = {"s": 1, "min": 60, "h": 3600}
    said = re.search(r"The waits between the tries are (.*?), each up to (\d+) %", PAGE, re.DOTALL)
    assert said is not None
    assert tuple(int(n) * seconds[unit] for n, unit in re.findall(r"(\d+) (\w+)", said[1])) == WAITS_S
    assert int(said[2]) == JITTER * 100
    assert (WARN_AFTER_FAILURES, DISABLE_AFTER_FAILURES, DISABLE_AFTER_S) == (3, 10, 3 * 86_400)
    words = " ".join(PAGE.split())
    assert "After three failed tries in a row" in words
    assert "at least ten failures in a row over at least three days" in words
    for event in (*ENDPOINT_EVENTS, TEST_PING):
        assert f"`{event}`" in PAGE, event
