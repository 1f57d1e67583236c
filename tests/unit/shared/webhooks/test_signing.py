import base64
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.webhooks.signing import sign

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = json.dumps({"type": "batch.completed", "data": {"name": "Prüfung"}}, ensure_ascii=False).encode()


def headers(timestamp: int, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    return {
        "webhook-id": "whd_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, "whd_1", timestamp, body),
    }


def test_a_receiver_with_the_published_library_accepts_the_signature() -> None:
    payload = Webhook(SECRET).verify(BODY, headers(int(time.time())))
    assert payload["data"]["name"] == "Prüfung"


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body", "secret"])
def test_whatever_is_changed_the_signature_no_longer_fits(changed: str) -> None:
    now = int(time.time())
    sent, body, secret = headers(now), BODY, SECRET
    if changed == "body":
        body += b" "
    elif changed == "secret":
        secret = "whsec_" + base64.b64encode(b"x" * 32).decode()
    else:
        sent[changed] = {"webhook-id": "whd_2", "webhook-timestamp": str(now + 1)}[changed]
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(secret).verify(body, sent)


@given(st.binary(min_size=24, max_size=64), st.integers(0, 2**32), st.text(max_size=200))
def test_it_signs_as_the_published_library_does(key: bytes, timestamp: int, body: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    body = body.encode("utf-8", "replace").decode()
    expected = Webhook(secret).sign("whd_1", datetime.fromtimestamp(timestamp, UTC), body)
    assert sign(secret, "whd_1", timestamp, body.encode()) == expected


def test_an_id_with_a_dot_is_refused_since_the_signed_text_would_be_ambiguous() -> None:
    with pytest.raises(ValueError, match="dot"):
        sign(SECRET, "whd.1", 1, b"{}")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64", "whsec_ä"])
def test_a_secret_that_is_no_key_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_ and base64"):
        sign(secret, "whd_1", 1, b"{}")
