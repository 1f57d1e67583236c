"""Signatures of webhooks, as Standard Webhooks 1.0 lays them down (HMAC-SHA256, scheme `v1`)."""

import base64
import hashlib
import hmac
import secrets

_PREFIX = "whsec_"


def new_secret() -> str:
    """A secret of 32 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of one attempt: `v1,<base64>` over `{message_id}.{timestamp}.{body}`.

    `secret` is `whsec_<base64>`, `timestamp` the attempt's in whole seconds since the epoch. Raises ValueError
    where the secret is no base64, or where the id holds a dot, which would make the signed text ambiguous.
    """
    if "." in message_id:
        raise ValueError("the id of a signed message must hold no dot")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError(f"a webhook secret must be {_PREFIX} and base64")
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
