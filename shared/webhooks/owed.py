"""Deliveries are owed in the transaction that changes the state: one for each receiver that wants the event.

Owing an event twice inserts nothing the second time: a unique key holds batch, event, subject, receiver and run.
"""

import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

from sqlalchemy import Connection, Insert, select
from sqlalchemy.dialects import postgresql, sqlite

from shared.contract.batches import ModelRef, batch_payload
from shared.contract.events import PART_COMPLETED, event_payload
from shared.contract.parts import View, labels_of, part_payload
from shared.contract.states import DeliveryStatus
from shared.ids import new_id
from shared.store.engine import clock
from shared.store.records import BatchRecord, PartRecord
from shared.store.tables import Delivery, ModelVersion
from shared.webhooks import receivers
from shared.webhooks.receivers import Content, Receiver


class Event(NamedTuple):
    """An event that is owed: its object as GET shows it, and when it happened, in seconds since the epoch.

    `subject` tells events of one name and batch apart. `content` is for the content filters; None passes each.
    """

    name: str
    data: Mapping[str, object]
    at: float
    subject: str = ""
    content: Content | None = None


def _statement(dialect: ModuleType) -> Insert:
    statement = dialect.insert(Delivery).values(due_at=clock(), created_at=clock())
    ignoring: Insert = statement.on_conflict_do_nothing(
        index_elements=["batch_id", "event", "subject", "url", "endpoint_id", "run"]
    )
    return ignoring


_OWE = {"sqlite": _statement(sqlite), "postgresql": _statement(postgresql)}
_MODEL = select(ModelVersion.id, ModelVersion.name, ModelVersion.sha256)


def owe_event(
    connection: Connection,
    event: Event,
    *,
    tenant: str,
    batch: BatchRecord | None = None,
) -> tuple[str, ...]:
    """Insert a delivery for each receiver that wants an event: the batch's own webhook, and endpoints of the tenant.

    It takes one statement where no receiver wants the event. Returns ids of deliveries, to be told to the workers after
    the commit.
    """
    return owe(connection, receivers.of(connection, tenant, event.name, batch), [event], tenant, batch)


def owe(
    connection: Connection,
    to: Sequence[Receiver],
    events: Sequence[Event],
    tenant: str,
    batch: BatchRecord | None = None,
) -> tuple[str, ...]:
    """Insert a delivery for each receiver and event whose content passes the receiver's filters."""
    rows = []
    for event in events:
        taking = [receiver for receiver in to if receiver.takes(event.content)]
        body = _body(event) if taking else ""
        rows += [_row(event, receiver, body, tenant, batch) for receiver in taking]
    if rows:
        connection.execute(_OWE[connection.dialect.name], rows)
    return tuple(str(row["id"]) for row in rows)


def owe_end(connection: Connection, batch: BatchRecord, base: str = "") -> tuple[str, ...]:
    """Owe the event of a batch that ended just now. `base` is the service's URL, with which links begin."""
    name = f"batch.{batch.status}"
    to = receivers.of(connection, batch.tenant, name, batch)
    if not to:
        return ()
    assert batch.finished_at is not None  # the caller has ended it
    data = batch_payload(batch, model=model_of(connection, batch), base=base)
    event = Event(name, data, batch.finished_at, content=receivers.content_of(batch))
    return owe(connection, to, [event], batch.tenant, batch)


def model_of(connection: Connection, batch: BatchRecord) -> ModelRef | None:
    """The model version of a batch, as the batch shows it."""
    row = connection.execute(_MODEL.where(ModelVersion.id == batch.model_id)).first()
    return None if row is None else {"id": row.id, "name": row.name, "sha256": row.sha256}


def owe_parts(
    connection: Connection, batch: BatchRecord, parts: Sequence[tuple[PartRecord, Sequence[View]]]
) -> tuple[str, ...]:
    """Owe the events of parts that ended just now."""
    to = receivers.of(connection, batch.tenant, PART_COMPLETED, batch)
    events = []
    for part, views in parts:
        assert part.finished_at is not None  # the caller has ended it
        content = Content([part.verdict] if part.verdict else [], batch.line, batch.metadata)
        data = part_payload(part, labels_of(batch), views)
        events.append(Event(PART_COMPLETED, data, part.finished_at, part.part_id, content))
    return owe(connection, to, events, batch.tenant, batch)


def _body(event: Event) -> str:
    return json.dumps(event_payload(event.name, event.data, event.at), separators=(",", ":"))


def _row(
    event: Event, receiver: Receiver, body: str, tenant: str, batch: BatchRecord | None
) -> dict[str, object]:
    return {
        "id": new_id("whd"),
        "tenant": tenant,
        "batch_id": batch.id if batch is not None else "",
        "run": batch.run if batch is not None else 1,
        "event": event.name,
        "subject": event.subject,
        "url": receiver.url,
        "secret": receiver.secret,
        "endpoint_id": receiver.endpoint_id,
        "body": body,
        "status": DeliveryStatus.HELD if receiver.is_held else DeliveryStatus.PENDING,
        "attempts": 0,
        "line": receiver.line,
    }
