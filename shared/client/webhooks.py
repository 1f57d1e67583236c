"""The receiving end of webhooks: whether a message comes from the service, by Standard Webhooks 1.0."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping

from shared.errors import GonogoError
from shared.webhooks.signing import sign


class WrongSignature(GonogoError):
    """The message is not from the service, was changed on its way, or is too old."""

    code = "wrong_signature"


def verify_webhook(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_s: float = 300.0,
    now: float | None = None,
) -> dict[str, object]:
    """The message of a webhook, once its signature and its time are right; raises WrongSignature.

    `body` is the request's body as it came, before any parsing. During a rotation a message carries two signatures, and
    either will do. A message whose time is more than `tolerance_s` away may be a copy that is sent again: refused.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, sent_at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "").split()
    if not (message_id and signatures and sent_at.isascii() and sent_at.isdigit()):
        raise WrongSignature(
            "the headers webhook-id, webhook-timestamp and webhook-signature are not all there"
        )
    try:
        expected = sign(secret, message_id, int(sent_at), body).encode()
    except ValueError as error:
        raise WrongSignature(str(error)) from None
    if not any(hmac.compare_digest(expected, each.encode()) for each in signatures):
        raise WrongSignature("no signature of this message was made with this secret")
    if abs((time.time() if now is None else now) - int(sent_at)) > tolerance_s:
        raise WrongSignature(f"the message is more than {tolerance_s:g} s away from this clock")
    message: dict[str, object] = json.loads(body)
    return message
