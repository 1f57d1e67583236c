"""Tries of a delivery: claimed before the HTTP request, recorded after it.

A claim moves the due time, so that a process that dies with a delivery in hand leaves a due time that passes: the sweep
sends it again under the same `webhook-id`.
"""

from typing import Literal, NamedTuple

from sqlalchemy import Connection, insert, select, update

from shared.contract.marks import WEBHOOK_EXHAUSTED
from shared.contract.states import DeliveryStatus
from shared.lifecycle.warned import warn
from shared.store import tallies
from shared.store.engine import clock
from shared.store.records import DeliveryRecord
from shared.store.tables import Attempt, Batch, Delivery
from shared.webhooks import again, endpoints, health
from shared.webhooks.lines import is_due

Outcome = Literal["delivered", "retry", "exhausted"]


class Claimed(NamedTuple):
    """A delivery that one process tries now: where it goes, how it is signed and written, and its trace context.

    Several secrets while an endpoint's secret is being replaced, the newest first.
    """

    delivery: DeliveryRecord
    url: str
    secrets: tuple[str, ...]
    format: str
    traceparent: str | None


class Try(NamedTuple):
    """An HTTP try: when it began, the status where one came, the milliseconds, and the answer or error as text."""

    at: float  # by the database's clock
    status: int | None
    latency_ms: float
    answer: str
    error: str | None


def claim(connection: Connection, delivery_id: str, now: float, hold_s: float) -> Claimed | None:
    """Claim a delivery that is due, for `hold_s` seconds, and count the try; None where it is not due.

    A delivery that was owed at the moment at which its endpoint was disabled is held; its endpoint's deletion ends it.
    """
    endpoint_id = connection.scalar(select(Delivery.endpoint_id).where(Delivery.id == delivery_id))
    endpoint = endpoints.lock(connection, endpoint_id) if endpoint_id else None
    if endpoint_id and (endpoint is None or not endpoint.enabled):
        _hold(connection, delivery_id, deleted=endpoint is None)
        return None
    row = connection.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id, is_due(now))
        .values(attempts=Delivery.attempts + 1, due_at=now + hold_s)
        .returning(Delivery.__table__)
    ).first()
    if row is None:
        return None
    delivery = DeliveryRecord._make(row)
    traceparent = connection.scalar(select(Batch.traceparent).where(Batch.id == delivery.batch_id))
    if endpoint is None:
        return Claimed(delivery, delivery.url, (delivery.secret,), "standard", traceparent)
    old = [secret for secret, _ in endpoint.in_grace(now)]
    return Claimed(delivery, endpoint.url, (endpoint.secret, *old), endpoint.format, traceparent)


def _hold(connection: Connection, delivery_id: str, *, deleted: bool) -> None:
    pending = (Delivery.id == delivery_id) & (Delivery.status == DeliveryStatus.PENDING)
    if deleted:  # its tries are kept, so the row must stay
        ended = {"status": DeliveryStatus.EXHAUSTED, "finished_at": clock()}
        connection.execute(update(Delivery).where(pending).values(ended))
    else:
        connection.execute(update(Delivery).where(pending).values(status=DeliveryStatus.HELD))


def record(
    connection: Connection, claimed: DeliveryRecord, tried: Try, outcome: Outcome, due_at: float
) -> None:
    """Keep a try and its outcome, once, however often this is called for the same try.

    A try that outlived its claim is kept too, but only its success changes the delivery. A delivery that was purged
    meanwhile keeps nothing, and one whose batch was purged goes when it has ended.
    """
    endpoint = endpoints.lock(connection, claimed.endpoint_id) if claimed.endpoint_id else None
    # Locked first: two calls for one try would otherwise each find the attempt missing, and keep it twice.
    known = connection.scalar(select(Delivery.id).where(Delivery.id == claimed.id).with_for_update())
    kept = select(Attempt.id).where(Attempt.delivery_id == claimed.id, Attempt.at == tried.at)
    if known is None or connection.scalar(kept) is not None:
        return
    connection.execute(insert(Attempt).values(delivery_id=claimed.id, **tried._asdict()))
    tallied = {
        tallies.stage("post", tried.latency_ms / 1000): tallies.Sum(1, tried.latency_ms / 1000),
        tallies.Key(tallies.TRIES, outcome): tallies.Sum(1),
    }
    values: dict[str, object] = {"due_at": due_at}
    if outcome != "retry":
        values |= {"status": DeliveryStatus(outcome), "finished_at": due_at}
    # Its endpoint may have been disabled during the try: a delivery that arrived is not sent again.
    open_ = [DeliveryStatus.PENDING, *([DeliveryStatus.HELD] if outcome != "retry" else [])]
    change = update(Delivery).where(Delivery.id == claimed.id, Delivery.status.in_(open_))
    if outcome != "delivered":
        change = change.where(Delivery.attempts == claimed.attempts)
    ended = connection.execute(change.values(values)).rowcount == 1 and outcome != "retry"
    if ended and outcome == "delivered":
        took = max(0.0, due_at - claimed.created_at)
        tallied[tallies.stage("deliver", took)] = tallies.Sum(1, took)
    elif ended and not claimed.endpoint_id:
        _warn(connection, claimed, tried)
    tallies.add(connection, tallied)
    if ended and claimed.batch_id and not _has_batch(connection, claimed.batch_id):
        again.forget(connection, [claimed.id])
    if endpoint is not None:
        health.note(connection, endpoint, at=tried.at, status=tried.status, delivered=outcome == "delivered")


def _has_batch(connection: Connection, batch_id: str) -> bool:
    """Whether the batch is there, which it then is until the transaction ends: a purge finds the ended delivery."""
    found = select(Batch.id).where(Batch.id == batch_id).with_for_update(read=True, key_share=True)
    return connection.scalar(found) is not None


def _warn(connection: Connection, claimed: DeliveryRecord, tried: Try) -> None:
    """Say on the batch that its receiver took nothing, so that a polling client and a person see it."""
    why = tried.error or f"status {tried.status}"
    detail = f"{claimed.event} was given up after {claimed.attempts} tries; the last one: {why}"[:300]
    warn(connection, claimed.batch_id, {"code": WEBHOOK_EXHAUSTED, "detail": detail})
