"""The `options` part of a submission, read and checked."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from shared.contract.events import EVENTS
from shared.contract.problems import ErrorEntry
from shared.contract.states import Lane
from web.http.problems import HttpProblem

_NAMES = {
    "priority", "model", "operating_point", "metadata", "webhook", "deadline", "retention", "on_error",
}  # fmt: skip
_MAX_METADATA = 16_384


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


class _Reader:
    def __init__(self) -> None:
        self.errors: list[ErrorEntry] = []

    def check(self, good: bool, pointer: str, detail: str) -> bool:
        if not good:
            self.errors.append({"code": "invalid_option", "pointer": f"/options{pointer}", "detail": detail})
        return good


def read_options(text: bytes | str | None) -> Options:
    """The options of a JSON text; raises 400 naming each bad entry by its pointer."""
    try:
        asked = json.loads(text, parse_constant=_no_number) if text else {}
        json.dumps(asked, ensure_ascii=False).encode()  # half a surrogate pair is JSON, yet no text
    except (ValueError, RecursionError) as error:
        raise HttpProblem(400, "invalid_options", f"`options` is not JSON: {error}") from error
    if not isinstance(asked, dict):
        raise HttpProblem(400, "invalid_options", "`options` must be a JSON object")
    reader = _Reader()
    for name in asked.keys() - _NAMES:
        reader.check(False, f"/{name}", "unknown option")
    lane = asked.get("priority", Lane.NORMAL.value)
    reader.check(isinstance(lane, str) and lane in set(Lane), "/priority", "one of interactive, normal, low")
    model = asked.get("model")
    reader.check(model is None or isinstance(model, str), "/model", "a model's id or name")
    metadata = asked.get("metadata", {})
    if reader.check(isinstance(metadata, dict), "/metadata", "a JSON object"):
        reader.check(len(json.dumps(metadata)) <= _MAX_METADATA, "/metadata", "at most 16 KB of JSON")
    on_error = asked.get("on_error", "continue")
    reader.check(on_error in ("continue", "abort"), "/on_error", "continue or abort")
    threshold, band = _operating_point(asked.get("operating_point"), reader)
    webhook = _webhook(asked.get("webhook"), reader)
    for name in ("deadline", "retention"):
        value = asked.get(name)
        good = value is None or (_is_number(value) and 0 < value <= 10 * 366 * 86400)
        reader.check(good, f"/{name}", "a positive number of seconds")
    if reader.errors:
        raise HttpProblem(400, "invalid_options", "some options can't be used", errors=reader.errors)
    return Options(
        priority=lane,
        model=model,
        threshold=threshold,
        review_band=band,
        metadata=metadata,
        webhook=webhook,
        deadline=asked.get("deadline"),
        retention=asked.get("retention"),
        on_error=on_error,
        asked=asked,
    )


def _no_number(word: str) -> Any:
    """Python would read NaN and Infinity, and then write what no other JSON reader takes."""
    raise ValueError(f"{word} is no number")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _operating_point(asked: Any, reader: _Reader) -> tuple[float | None, tuple[float, float] | None]:
    if asked is None:
        return None, None
    at = "/operating_point"
    if not reader.check(isinstance(asked, dict), at, "an object with threshold and review_band"):
        return None, None
    threshold, band = asked.get("threshold"), asked.get("review_band")
    good = threshold is None or (_is_number(threshold) and 0 <= threshold <= 1)
    reader.check(good, f"{at}/threshold", "a number from 0 to 1")
    if band is None:
        return threshold, None
    good = (
        isinstance(band, list)
        and len(band) == 2
        and all(_is_number(edge) for edge in band)
        and 0 <= band[0] <= band[1] <= 1
    )
    reader.check(good, f"{at}/review_band", "two numbers from 0 to 1, the lower first")
    return threshold, (band[0], band[1]) if good else None


def _webhook(asked: Any, reader: _Reader) -> dict[str, Any] | None:
    if asked is None:
        return None
    if not reader.check(isinstance(asked, dict), "/webhook", "an object with url"):
        return None
    url = asked.get("url")
    good = isinstance(url, str) and url.startswith(("https://", "http://")) and len(url) <= 2000
    reader.check(good, "/webhook/url", "an http or https URL")
    events = asked.get("events")
    good = events is None or (isinstance(events, list) and set(map(str, events)) <= set(EVENTS))
    reader.check(good, "/webhook/events", f"a list of some of {', '.join(sorted(EVENTS))}")
    secret = asked.get("secret")
    reader.check(
        secret is None or _is_secret(secret), "/webhook/secret", "whsec_ and 24 to 64 bytes in base64"
    )
    made = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return {"url": url, "secret": secret or made, "events": events}


def _is_secret(secret: Any) -> bool:
    if not isinstance(secret, str) or not secret.startswith("whsec_"):
        return False
    try:
        return 24 <= len(base64.b64decode(secret[6:], validate=True)) <= 64
    except ValueError:  # binascii.Error, and what letters beyond ASCII raise
        return False
