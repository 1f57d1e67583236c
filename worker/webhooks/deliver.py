"""Deliveries: what is owed to a webhook receiver, signed and posted until it says 2xx or the tries are over.

Each try claims the delivery by compare-and-set, posts outside any transaction and records what came back. Who
dies in between leaves a due time that passes: the sweep has it sent again under the same `webhook-id`.
"""

import functools
import logging
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from importlib import metadata
from random import SystemRandom
from typing import Any

from sqlalchemy import Connection, insert, select, update

from shared import clock, failpoints
from shared.contract.states import DeliveryStatus
from shared.settings import Settings
from shared.store.engine import Database, retrying
from shared.store.records import DeliveryRecord
from shared.store.tables import Attempt, Batch, Delivery
from shared.webhooks import addresses
from shared.webhooks.signing import sign
from worker.webhooks.post import Answer, post, visible

# Seconds between tries; the jitter keeps receivers that fell together from being met by all at one instant.
WAITS_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2
LONGEST_RETRY_AFTER_S = 86_400.0
# How much longer than its post a claim holds: the time in which the outcome is recorded.
RECORD_MARGIN_S = 15.0
_GONE = 410
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_random = SystemRandom()
log = logging.getLogger(__name__)


def due(database: Database, limit: int, *, at: Callable[[], float] = clock.now) -> list[str]:
    """Ids of at most `limit` pending deliveries whose time has come, the longest due first."""
    query = (
        select(Delivery.id)
        .where(Delivery.status == DeliveryStatus.PENDING, Delivery.due_at <= at())
        .order_by(Delivery.due_at)
        .limit(limit)
    )
    with database.read() as connection:
        return list(connection.scalars(query))


def deliver(
    database: Database, settings: Settings, delivery_id: str, *, at: Callable[[], float] = clock.now
) -> str:
    """Try a delivery that is due: `delivered`, `retry`, `exhausted`, or `not_due` where there was nothing to
    claim. Repeated or doubled it claims nothing, since a claim moves the due time."""
    addresses.networks(settings.webhook_allowed_networks)  # an unusable setting must not cost a try
    started = at()
    with database.write() as connection:
        claimed = _claim(connection, delivery_id, started, settings.webhook_timeout_s + RECORD_MARGIN_S)
        if claimed is None:
            return "not_due"
        traceparent = connection.scalar(select(Batch.traceparent).where(Batch.id == claimed.batch_id))
    if claimed.attempts > len(WAITS_S) + 1:
        answer = Answer(error="no try is left: the last one's process died before it could record")
    else:
        answer = _send(claimed, settings, int(started), traceparent)
    failpoints.hit("deliver.posted", delivery_id)
    outcome, due_at = _what_next(answer, claimed.attempts, at())
    retrying(lambda: _record(database, claimed, started, answer, outcome, due_at))
    log.info("%s try %d: %s (%s)", delivery_id, claimed.attempts, outcome, answer.error or answer.status)
    return outcome


def _claim(connection: Connection, delivery_id: str, now: float, hold_s: float) -> DeliveryRecord | None:
    is_due = (Delivery.status == DeliveryStatus.PENDING) & (Delivery.due_at <= now)
    row = connection.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id, is_due)
        .values(attempts=Delivery.attempts + 1, due_at=now + hold_s)
        .returning(Delivery.__table__)
    ).first()
    return None if row is None else DeliveryRecord._make(row)


def _send(claimed: DeliveryRecord, settings: Settings, timestamp: int, traceparent: str | None) -> Answer:
    body = claimed.body.encode()
    try:
        signature = sign(claimed.secret, claimed.id, timestamp, body)
    except ValueError as error:
        return Answer(error=str(error))
    headers = {
        "user-agent": f"gonogo/{_version()}",
        "content-type": "application/json",
        "webhook-id": claimed.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    if traceparent and _TRACEPARENT.fullmatch(traceparent):
        headers["traceparent"] = traceparent
    allowed = settings.webhook_allowed_networks
    return post(claimed.url, headers, body, allowed=allowed, timeout_s=settings.webhook_timeout_s)


@functools.cache
def _version() -> str:
    try:
        return metadata.version("gonogo")
    except metadata.PackageNotFoundError:
        return "0"


def _what_next(answer: Answer, attempt: int, now: float) -> tuple[str, float]:
    """(outcome, next due time). 410 ends it: the receiver says that it wants no more."""
    if answer.is_success:
        return "delivered", now
    if answer.status == _GONE or attempt > len(WAITS_S):
        return "exhausted", now
    wait = WAITS_S[attempt - 1] * _random.uniform(1 - JITTER, 1 + JITTER)
    asked = min(_retry_after(answer.retry_after, now), LONGEST_RETRY_AFTER_S)
    return "retry", now + max(wait, asked)


def _retry_after(header: str | None, now: float) -> float:
    """Seconds that a Retry-After header asks for, as a number or as a date; 0 where it says nothing usable."""
    text = (header or "").strip()
    try:
        if text.isascii() and text.isdigit():
            return float(text)
        return parsedate_to_datetime(text).timestamp() - now if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _record(
    database: Database, claimed: DeliveryRecord, started: float, answer: Answer, outcome: str, due_at: float
) -> None:
    """Keep the try and its outcome. One that outlived its claim is kept too, but only its success changes the
    delivery; a delivery purged meanwhile keeps nothing."""
    with database.write() as connection:
        known = connection.scalar(select(Delivery.id).where(Delivery.id == claimed.id).with_for_update())
        tried = (Attempt.delivery_id == claimed.id) & (Attempt.at == started)
        if known is None or connection.scalar(select(Attempt.id).where(tried)) is not None:
            return
        connection.execute(
            insert(Attempt).values(
                delivery_id=claimed.id,
                at=started,
                status=answer.status,
                latency_ms=answer.latency_ms,
                answer=visible(answer.kept),
                error=visible(answer.error.encode())[:1000] if answer.error else None,
            )
        )
        values: dict[str, Any] = {"due_at": due_at}
        if outcome != "retry":
            values |= {"status": DeliveryStatus(outcome), "finished_at": due_at}
        change = update(Delivery).where(Delivery.id == claimed.id, Delivery.status == DeliveryStatus.PENDING)
        if outcome != "delivered":
            change = change.where(Delivery.attempts == claimed.attempts)
        connection.execute(change.values(values))
