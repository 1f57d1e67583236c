"""A delivery is signed and posted until the receiver answers 2xx or the tries are over.

Each try claims the delivery by compare-and-set, posts outside any transaction, and records the answer. A process that
dies in between leaves a due time that passes: the sweep sends the delivery again under the same `webhook-id`. Each time
is the database's, so that no worker whose clock is wrong claims a delivery that another one holds.
"""

import logging
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import Literal

from sqlalchemy import Connection

from shared import failpoints
from shared.settings import Settings
from shared.store.engine import Database, database_time, retrying
from shared.version import installed_version
from shared.webhooks import addresses, cloudevents, tries
from shared.webhooks.signing import sign
from worker.webhooks.post import Answer, post, visible

# Seconds between tries. The jitter spreads the tries to receivers that failed at the same moment.
WAITS_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2
LONGEST_RETRY_AFTER_S = 86_400.0
# A claim outlasts the post by this many seconds, in which the outcome is recorded.
RECORD_MARGIN_S = 15.0
_GONE = 410
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_random = SystemRandom()
log = logging.getLogger(__name__)


def deliver(
    database: Database,
    settings: Settings,
    delivery_id: str,
    *,
    at: Callable[[Connection], float] = database_time,
) -> tries.Outcome | Literal["not_due"]:
    """Try a delivery that is due: `delivered`, `retry`, `exhausted`, or `not_due` where none is claimed.

    Safe to repeat: a claim moves the due time, so a second call claims nothing.
    """
    addresses.networks(settings.webhook_allowed_networks)  # an unusable setting must not cost a try
    with database.write() as connection:
        started = at(connection)
        claimed = tries.claim(connection, delivery_id, started, settings.webhook_timeout_s + RECORD_MARGIN_S)
    if claimed is None:
        return "not_due"
    delivery = claimed.delivery
    if delivery.attempts > len(WAITS_S) + 1:
        answer = Answer(error="no try is left: the process of the last try died before it could record")
    else:
        answer = _send(claimed, settings, int(started))
    failpoints.hit("deliver.posted", delivery_id)
    tried = tries.Try(
        at=started,
        status=answer.status,
        latency_ms=answer.latency_ms,
        answer=visible(answer.kept),
        error=visible(answer.error.encode())[:1000] if answer.error else None,
    )

    def record() -> tries.Outcome:
        with database.write() as connection:
            outcome, due_at = _what_next(answer, delivery.attempts, at(connection))
            tries.record(connection, delivery, tried, outcome, due_at)
        return outcome

    outcome = retrying(record)
    log.info("%s try %d: %s (%s)", delivery_id, delivery.attempts, outcome, answer.error or answer.status)
    return outcome


def _send(claimed: tries.Claimed, settings: Settings, timestamp: int) -> Answer:
    delivery, traceparent = claimed.delivery, claimed.traceparent
    body, content_type = delivery.body.encode(), "application/json"
    if claimed.format == "cloudevents":
        content_type = cloudevents.CONTENT_TYPE
        body = cloudevents.as_batch(delivery.body, message_id=delivery.id, source=settings.public_base)
    try:
        signature = " ".join(sign(secret, delivery.id, timestamp, body) for secret in claimed.secrets)
    except ValueError as error:
        return Answer(error=str(error))
    headers = {
        "user-agent": f"gonogo/{installed_version()}",
        "content-type": content_type,
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    if traceparent and _TRACEPARENT.fullmatch(traceparent):
        headers["traceparent"] = traceparent
    allowed = settings.webhook_allowed_networks
    return post(claimed.url, headers, body, allowed=allowed, timeout_s=settings.webhook_timeout_s)


def _what_next(answer: Answer, attempt: int, now: float) -> tuple[tries.Outcome, float]:
    """(outcome, next due time). 410 ends the tries: the receiver wants no more."""
    if answer.is_success:
        return "delivered", now
    if answer.status == _GONE or attempt > len(WAITS_S):
        return "exhausted", now
    wait = WAITS_S[attempt - 1] * _random.uniform(1 - JITTER, 1 + JITTER)
    asked = min(_retry_after(answer.retry_after, now), LONGEST_RETRY_AFTER_S)
    return "retry", now + max(wait, asked)


def _retry_after(header: str | None, now: float) -> float:
    """Seconds that a Retry-After header asks for, as a number or as a date; 0 where it is neither."""
    text = (header or "").strip()
    try:
        if text.isascii() and text.isdigit():
            return float(text)
        return parsedate_to_datetime(text).timestamp() - now if text else 0.0
    except (ValueError, OverflowError):
        return 0.0
