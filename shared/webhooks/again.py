"""Deliveries that have ended and are sent again, under their own `webhook-id`s."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, exists, select, update
from sqlalchemy import literal_column as sql

from shared.contract.states import DeliveryStatus
from shared.store.engine import clock
from shared.store.records import AttemptRecord, DeliveryRecord
from shared.store.tables import Attempt, Batch, Delivery, WebhookEndpoint
from shared.webhooks.lines import to_endpoint

_ENDED = (DeliveryStatus.DELIVERED, DeliveryStatus.EXHAUSTED)
_AGAIN: dict[str, object] = {
    "status": DeliveryStatus.PENDING,
    "attempts": 0,
    "due_at": clock(),
    "finished_at": None,
}


def find(connection: Connection, tenant: str, delivery_id: str) -> DeliveryRecord | None:
    """A delivery of the tenant."""
    query = select(Delivery.__table__).where(Delivery.id == delivery_id, Delivery.tenant == tenant)
    row = connection.execute(query).first()
    return None if row is None else DeliveryRecord._make(row)


def redeliver(connection: Connection, delivery_id: str) -> DeliveryRecord | None:
    """Begin the tries of a delivery again; None where it has not ended. The caller has locked its endpoint."""
    ended = update(Delivery).where(Delivery.id == delivery_id, Delivery.status.in_(_ENDED))
    row = connection.execute(ended.values(_AGAIN).returning(Delivery.__table__)).first()
    return None if row is None else DeliveryRecord._make(row)


def replay(
    connection: Connection,
    endpoint_id: str,
    *,
    since: float,
    until: float | None = None,
    events: Collection[str] = (),
    status: Collection[str] = _ENDED,
) -> list[str]:
    """Begin the tries of an endpoint's deliveries again that were owed in a time and have ended; returns their ids.

    The caller has locked the endpoint.
    """
    chosen = update(Delivery).where(
        to_endpoint(endpoint_id), Delivery.status.in_(status), Delivery.created_at >= since
    )
    if until is not None:
        chosen = chosen.where(Delivery.created_at < until)
    if events:
        chosen = chosen.where(Delivery.event.in_(events))
    return list(connection.scalars(chosen.values(_AGAIN).returning(Delivery.id)))


def attempts(connection: Connection, deliveries: Collection[str]) -> dict[str, list[AttemptRecord]]:
    """The tries of these deliveries, the oldest first."""
    found: dict[str, list[AttemptRecord]] = {each: [] for each in deliveries}
    query = select(Attempt.__table__).where(Attempt.delivery_id.in_(deliveries)).order_by(Attempt.id)
    for row in connection.execute(query):
        found[row.delivery_id].append(AttemptRecord._make(row))
    return found


def outlived(connection: Connection, before: float, most: int) -> list[str]:
    """At most `most` deliveries that were owed before this time and belong to no batch, without those that wait.

    These are events about no batch, and those that are held for a disabled endpoint while their batch was purged.
    """
    about_none = select(Delivery.id).where(
        Delivery.batch_id == "", Delivery.created_at < before, Delivery.status != DeliveryStatus.PENDING
    )
    # Found by way of the endpoints, which are few: no index holds the deliveries that are held.
    held = (
        select(Delivery.id)
        .join(WebhookEndpoint, WebhookEndpoint.id == Delivery.endpoint_id)
        .where(WebhookEndpoint.enabled.is_(False), Delivery.endpoint_id != sql("''"))
        .where(Delivery.status == DeliveryStatus.HELD, Delivery.created_at < before)
        .where(Delivery.batch_id != "", ~exists().where(Batch.id == Delivery.batch_id))
    )
    found = list(connection.scalars(about_none.limit(most)))
    return found + list(connection.scalars(held.limit(most - len(found))))


def forget(connection: Connection, deliveries: Collection[str]) -> None:
    """Delete deliveries and their tries."""
    connection.execute(delete(Attempt).where(Attempt.delivery_id.in_(deliveries)))
    connection.execute(delete(Delivery).where(Delivery.id.in_(deliveries)))
