"""The `options` part of a submission, read and checked."""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Any

from shared.contract import options as contract
from shared.contract.states import Lane
from web.http import validators


@dataclass(frozen=True)
class Options:
    """What a client may ask of a batch; None means the model's or the service's own value."""

    priority: str = Lane.NORMAL.value
    model: str | None = None
    threshold: float | None = None
    review_band: tuple[float, float] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    webhook: dict[str, Any] | None = None
    deadline: float | None = None
    retention: float | None = None
    on_error: str = "continue"
    asked: dict[str, Any] = field(default_factory=dict)

    def canonical(self) -> dict[str, Any]:
        """The options as the client spelled them, for comparing two submissions."""
        return self.asked

    def made_secret(self) -> str | None:
        """The webhook secret, where the client sent none and must learn the one we made."""
        if self.webhook is None or self.asked["webhook"].get("secret"):
            return None
        return str(self.webhook["secret"])


def read_options(text: bytes | str | None) -> Options:
    """The options of a JSON text; raises 400 naming each bad entry by its pointer."""
    asked = validators.read_json(contract.Options, text or b"{}", validators.OPTIONS)
    point = asked.get("operating_point") or {}
    webhook = asked.get("webhook")
    made = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return Options(
        priority=asked["priority"],
        model=asked.get("model"),
        threshold=point.get("threshold"),
        review_band=point.get("review_band"),
        metadata=asked["metadata"],
        webhook=webhook and {"events": None, **webhook, "secret": webhook.get("secret") or made},
        deadline=asked.get("deadline"),
        retention=asked.get("retention"),
        on_error=asked["on_error"],
        asked=asked,
    )
