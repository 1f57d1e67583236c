"""Webhook receivers and deliveries: checks and pages that several views share."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, select

from shared.contract.deliveries import DeliveryListQuery, DeliveryPayload, delivery_payload
from shared.contract.pages import ListPayload, page
from shared.store.records import DeliveryRecord
from shared.store.tables import Delivery, WebhookEndpoint
from shared.webhooks import addresses, again, lines
from web.http.cursors import Cursors
from web.service import Service

_SHOWN_ATTEMPTS = 20


def check_receiver(here: Service, url: str) -> None:
    """Raise 422 for a URL that the guard refuses already now; it judges the address again at each try, after DNS."""
    try:
        addresses.check_url(url, here.settings.webhook_allowed_networks)
    except addresses.ForbiddenAddress as error:
        error.pointer = "/url"
        raise


def page_of(
    here: Service, tenant: str, query: DeliveryListQuery, endpoint_id: str | None = None
) -> ListPayload:
    """A page of a tenant's deliveries, or of one endpoint of the tenant, the newest first."""
    cursors = Cursors("deliveries", tenant, endpoint_id or "", query=query)
    owner = Delivery.tenant == tenant if endpoint_id is None else lines.to_endpoint(endpoint_id)
    rows = select(Delivery.__table__).where(owner, *_filters(query))
    if (cursor := cursors.decode(str)) is not None:
        rows = rows.where(Delivery.id < cursor[0])
    limit = query["limit"]
    with here.database.read() as connection:
        found = connection.execute(rows.order_by(Delivery.id.desc()).limit(limit + 1)).all()
        records = [DeliveryRecord._make(row) for row in found[:limit]]
        payloads = shown(connection, records)
    return page(payloads, cursors.encode(records[-1].id) if len(found) > limit else None)


def shown(connection: Connection, rows: Sequence[DeliveryRecord]) -> list[DeliveryPayload]:
    """Deliveries as the contract shows them."""
    tries = again.attempts(connection, [row.id for row in rows])
    named = {row.endpoint_id for row in rows if row.endpoint_id}
    query = select(WebhookEndpoint.id, WebhookEndpoint.url).where(WebhookEndpoint.id.in_(named))
    urls = {row.id: row.url for row in connection.execute(query)} if named else {}
    return [
        delivery_payload(row, row.url or urls.get(row.endpoint_id, ""), tries[row.id][-_SHOWN_ATTEMPTS:])
        for row in rows
    ]


def _filters(query: DeliveryListQuery) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if "status" in query:
        filters.append(Delivery.status.in_(query["status"]))
    if "event" in query:
        filters.append(Delivery.event.in_(query["event"]))
    if "created_after" in query:
        filters.append(Delivery.created_at >= query["created_after"] + 0.001)
    if "created_before" in query:
        filters.append(Delivery.created_at < query["created_before"])
    return filters
