"""A receiver takes messages of its sender, and no others; the library of Standard Webhooks agrees."""

import datetime
import json
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.client import WrongSignature, verify_webhook
from shared.webhooks.signing import sign

SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = json.dumps({"type": "batch.completed", "data": {"id": "bat_1"}}).encode()


def headers(body: bytes = BODY, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    sent_at = int(time.time() if at is None else at)
    return {
        "Webhook-Id": "whd_1",
        "Webhook-Timestamp": str(sent_at),
        "Webhook-Signature": sign(secret, "whd_1", sent_at, body),
    }


def test_a_message_of_the_service_is_taken_and_read() -> None:
    assert verify_webhook(SECRET, headers(), BODY)["type"] == "batch.completed"
    now = datetime.datetime.now(datetime.UTC)
    library = {
        "webhook-id": "whd_2",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("whd_2", now, BODY.decode()),
    }
    assert verify_webhook(SECRET, library, BODY)["data"] == {"id": "bat_1"}


def test_a_rotation_sends_two_signatures_and_either_will_do() -> None:
    sent = headers()
    sent["Webhook-Signature"] = f"{headers(secret=OTHER)['Webhook-Signature']} {sent['Webhook-Signature']}"
    for secret in (SECRET, OTHER):
        assert verify_webhook(secret, sent, BODY)["type"] == "batch.completed"


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({}, BODY + b" "),
        ({}, b""),
        ({"Webhook-Id": "whd_2"}, BODY),
        ({"Webhook-Id": ""}, BODY),
        ({"Webhook-Id": "whd.1"}, BODY),
        ({"Webhook-Timestamp": "1"}, BODY),
        ({"Webhook-Timestamp": "-1"}, BODY),
        ({"Webhook-Timestamp": "soon"}, BODY),
        ({"Webhook-Signature": ""}, BODY),
        ({"Webhook-Signature": "v1,AAAA é"}, BODY),
        ({"Webhook-Signature": headers(secret=OTHER)["Webhook-Signature"]}, BODY),
        (headers(at=time.time() - 3600), BODY),
        (headers(at=time.time() + 3600), BODY),
    ],
)
def test_any_other_message_is_refused(changed: dict[str, str], body: bytes) -> None:
    given = {**headers(), **changed}
    with pytest.raises(WrongSignature):
        verify_webhook(SECRET, given, body)
    with pytest.raises((WebhookVerificationError, ValueError)):
        Webhook(SECRET).verify(body, {name.lower(): value for name, value in given.items()})
