"""Deliveries as rows: owed in the transaction that ends a batch, due, claimed, and recorded try by try.

This module alone writes the status of a delivery. A claim moves the due time, so that a process that dies with a
delivery in hand leaves a due time that passes: the sweep sends it again under the same `webhook-id`.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update
from sqlalchemy import literal_column as sql
from sqlalchemy.orm import aliased

from shared.contract.batches import WEBHOOK_EXHAUSTED, batch_payload
from shared.contract.events import PART_COMPLETED, event_payload, part_event_payload
from shared.contract.parts import part_payload
from shared.contract.states import DeliveryStatus
from shared.ids import new_id
from shared.lifecycle.warned import warn
from shared.store import tallies
from shared.store.engine import clock
from shared.store.records import BatchRecord, DeliveryRecord, ItemRecord, JsonObject, PartRecord
from shared.store.tables import Attempt, Batch, Delivery

Outcome = Literal["delivered", "retry", "exhausted"]
_BEYOND_ANY_WAIT_S = 2 * 86_400.0  # the longest wait between two tries is 1.2 days


class Claimed(NamedTuple):
    """A delivery that one process tries now, and the trace context of its batch."""

    delivery: DeliveryRecord
    traceparent: str | None


class Try(NamedTuple):
    """An HTTP try: when it began, the status where one came, the milliseconds, and the answer or error as text."""

    at: float  # by the database's clock
    status: int | None
    latency_ms: float
    answer: str
    error: str | None


_OWE = insert(Delivery).values(due_at=clock(), created_at=clock())


def owe(connection: Connection, batch: BatchRecord, base: str = "") -> tuple[str, ...]:
    """Insert what a batch that ended just now owes to its webhook; returns the ids of the deliveries.

    `base` is the service's URL, with which the links of the message begin.
    """
    event = f"batch.{batch.status}"
    webhook = batch.webhook
    if not webhook or event not in (webhook.get("events") or [event]):
        return ()
    assert batch.finished_at is not None  # the caller has ended it
    body = event_payload(event, batch_payload(batch, base=base), batch.finished_at)
    row = _row(batch, webhook, event, body)
    connection.execute(_OWE, row)
    return (row["id"],)


def wants_parts(batch: BatchRecord) -> bool:
    """Whether the batch's webhook asks for the events of its parts: they are many, so it must name them."""
    return bool(batch.webhook) and PART_COMPLETED in ((batch.webhook or {}).get("events") or ())


def owe_parts(
    connection: Connection, batch: BatchRecord, parts: Sequence[tuple[PartRecord, Sequence[ItemRecord]]]
) -> tuple[str, ...]:
    """Insert what a batch owes to its webhook for parts that ended just now; returns the ids of the deliveries."""
    webhook = batch.webhook or {}
    rows = []
    for part, views in parts:
        assert part.finished_at is not None  # the caller has ended it
        body = part_event_payload(part_payload(part, batch, views), part.finished_at)
        rows.append({**_row(batch, webhook, PART_COMPLETED, body), "subject": part.part_id})
    if rows:
        connection.execute(_OWE, rows)
    return tuple(row["id"] for row in rows)


def _row(batch: BatchRecord, webhook: JsonObject, event: str, body: Any) -> dict[str, Any]:
    return {
        "id": new_id("whd"),
        "tenant": batch.tenant,
        "batch_id": batch.id,
        "run": batch.run,
        "event": event,
        "url": webhook["url"],
        "secret": webhook["secret"],
        "body": json.dumps(body, separators=(",", ":")),
        "status": DeliveryStatus.PENDING,
        "attempts": 0,
        "line": line_of(batch.tenant, webhook["url"]),
    }


def _is_pending(delivery: Any) -> ColumnElement[bool]:
    """The status is spelled out, since a planner that does not see it cannot use the index of pending deliveries."""
    return delivery.status == sql("'pending'")  # type: ignore[no-any-return]


def line_of(tenant: str, url: str) -> str:
    """The line in which deliveries of a tenant to one host and port wait: `host:port tenant`."""
    parts = urlsplit(url)
    return f"{parts.netloc.lower()} {tenant}"


def tenant_of(line: str) -> str:
    """The tenant whose deliveries wait in a line. No URL holds a space, so the first one ends the host."""
    return line.partition(" ")[2]


def _is_due(now: float) -> ColumnElement[bool]:
    # A time beyond any wait was set under a clock that has jumped back since.
    is_time = or_(Delivery.due_at <= now, Delivery.due_at > now + _BEYOND_ANY_WAIT_S)
    return and_(_is_pending(Delivery), is_time)


def due(connection: Connection, limit: int, now: float, *, line: str | None = None) -> list[str]:
    """Ids of at most `limit` pending deliveries that are due at `now`, the longest due first; of one line if named."""
    query = select(Delivery.id).where(_is_due(now)).order_by(Delivery.due_at).limit(limit)
    if line is not None:
        query = query.where(Delivery.line == line)
    return list(connection.scalars(query))


def given_up(connection: Connection, recent_s: float) -> tuple[int, int]:
    """How many kept deliveries were given up: in the last `recent_s` seconds, and before."""
    query = select(func.count()).where(Delivery.status == DeliveryStatus.EXHAUSTED)
    recent = connection.scalar(query.where(Delivery.finished_at > clock() - recent_s)) or 0
    return recent, (connection.scalar(query) or 0) - recent


def _lines() -> Any:
    # One step through the index for each line, however many deliveries wait in it.
    first, later, ready = aliased(Delivery), aliased(Delivery), aliased(Delivery)
    lines = select(func.min(first.line).label("line")).where(_is_pending(first)).cte("lines", recursive=True)
    following = (
        select(func.min(later.line))
        .where(_is_pending(later), later.line > lines.c.line)
        .correlate(lines)
        .scalar_subquery()
    )
    lines = lines.union_all(
        select(following.label("line")).select_from(lines).where(lines.c.line.is_not(None))
    )
    oldest = (
        select(func.min(ready.due_at))
        .where(_is_pending(ready), ready.line == lines.c.line)
        .correlate(lines)
        .scalar_subquery()
    )
    return select(lines.c.line).where(lines.c.line.is_not(None)).order_by(oldest, lines.c.line)


_LINES = _lines()


def lines(connection: Connection) -> list[str]:
    """Every line in which a delivery is pending, the longest due first."""
    return list(connection.scalars(_LINES))


def claim(connection: Connection, delivery_id: str, now: float, hold_s: float) -> Claimed | None:
    """Claim a delivery that is due, for `hold_s` seconds, and count the try; None where it is not due."""
    row = connection.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id, _is_due(now))
        .values(attempts=Delivery.attempts + 1, due_at=now + hold_s)
        .returning(Delivery.__table__)
    ).first()
    if row is None:
        return None
    delivery = DeliveryRecord._make(row)
    return Claimed(
        delivery, connection.scalar(select(Batch.traceparent).where(Batch.id == delivery.batch_id))
    )


def record(
    connection: Connection, claimed: DeliveryRecord, tried: Try, outcome: Outcome, due_at: float
) -> None:
    """Keep a try and its outcome, once, however often this is called for the same try.

    A try that outlived its claim is kept too, but only its success changes the delivery. A delivery that was purged
    meanwhile keeps nothing.
    """
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
    values: dict[str, Any] = {"due_at": due_at}
    if outcome != "retry":
        values |= {"status": DeliveryStatus(outcome), "finished_at": due_at}
    change = update(Delivery).where(Delivery.id == claimed.id, Delivery.status == DeliveryStatus.PENDING)
    if outcome != "delivered":
        change = change.where(Delivery.attempts == claimed.attempts)
    ended = connection.execute(change.values(values)).rowcount == 1 and outcome != "retry"
    if ended and outcome == "delivered":
        took = max(0.0, due_at - claimed.created_at)
        tallied[tallies.stage("deliver", took)] = tallies.Sum(1, took)
    elif ended:
        _warn(connection, claimed, tried)
    tallies.add(connection, tallied)


def _warn(connection: Connection, claimed: DeliveryRecord, tried: Try) -> None:
    """Say on the batch that its receiver took nothing, so that a polling client and a person see it."""
    why = tried.error or f"status {tried.status}"
    detail = f"{claimed.event} was given up after {claimed.attempts} tries; the last one: {why}"[:300]
    warn(connection, claimed.batch_id, {"code": WEBHOOK_EXHAUSTED, "detail": detail})
