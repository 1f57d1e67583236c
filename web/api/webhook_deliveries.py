"""Deliveries to webhooks: listed with their tries, sent again; and the test message of an endpoint."""

from flask import Blueprint, request
from sqlalchemy import Connection

from shared.contract.deliveries import DeliveryListQuery, DeliveryPayload
from shared.contract.events import TEST_PING
from shared.contract.pages import Page
from shared.contract.queries import TenantQuery
from shared.contract.webhook_endpoints import ReplayPayload, ReplayRequest, endpoint_payload
from shared.ids import new_id
from shared.store.engine import database_time
from shared.store.records import DeliveryRecord, EndpointRecord
from shared.webhooks import again, endpoints, owed, receivers
from web.http import trail
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation
from web.http.problems import HttpProblem, not_found
from web.http.tenants import acting_tenant
from web.resources import webhooks
from web.service import service

blueprint = Blueprint("webhook_deliveries", __name__)


@blueprint.get("/v1/webhook-endpoints/<endpoint_id>/deliveries")
@require("admin")
@operation(
    "A page of an endpoint's deliveries with their tries, the newest first",
    {200: Page[DeliveryPayload]},
    query=DeliveryListQuery,
    problems=(400, 403, 404),
)
def list_endpoint_deliveries(endpoint_id: str, query: DeliveryListQuery) -> Page[DeliveryPayload]:
    here, tenant = service(), acting_tenant(query)
    with here.database.read() as connection:
        if endpoints.find(connection, tenant, endpoint_id) is None:
            raise not_found(f"webhook endpoint {endpoint_id}")
    return webhooks.page_of(here, tenant, query, endpoint_id)


@blueprint.get("/v1/webhook-deliveries")
@require("admin")
@operation(
    "A page of the tenant's deliveries, to endpoints and to webhooks of batches; `status=exhausted`: those given up",
    {200: Page[DeliveryPayload]},
    query=DeliveryListQuery,
    problems=(400, 403),
)
def list_webhook_deliveries(query: DeliveryListQuery) -> Page[DeliveryPayload]:
    return webhooks.page_of(service(), acting_tenant(query), query)


@blueprint.get("/v1/webhook-deliveries/<delivery_id>")
@require("admin")
@operation("A delivery with its tries", {200: DeliveryPayload}, query=TenantQuery, problems=(403, 404))
def get_webhook_delivery(delivery_id: str, query: TenantQuery) -> DeliveryPayload:
    tenant = acting_tenant(query)
    with service().database.read() as connection:
        [shown] = webhooks.shown(connection, [_existing(connection, tenant, delivery_id)])
    return shown


@blueprint.post("/v1/webhook-deliveries/<delivery_id>/redeliver")
@require("admin")
@operation(
    "Send a delivery again that was delivered or given up, under the same `webhook-id`",
    {200: DeliveryPayload},
    query=TenantQuery,
    problems=(403, 404, 409),
)
def redeliver_webhook(delivery_id: str, query: TenantQuery) -> DeliveryPayload:
    here, tenant = service(), acting_tenant(query)
    with here.database.write() as connection:
        row = _existing(connection, tenant, delivery_id)
        if row.endpoint_id:
            _enabled(connection, tenant, row.endpoint_id)
        sent = again.redeliver(connection, delivery_id)
        if sent is None:
            raise HttpProblem(409, "wrong_state", f"{delivery_id} is {row.status}: it is tried without this")
        [shown] = webhooks.shown(connection, [sent])
        trail.note(connection, "webhook.redeliver", delivery_id, tenant=tenant)
    here.send_delivery(delivery_id)
    return shown


@blueprint.post("/v1/webhook-endpoints/<endpoint_id>/replay")
@require("admin")
@operation(
    "Send the endpoint's deliveries of a time again, under their own `webhook-id`s",
    {200: ReplayPayload},
    query=TenantQuery,
    body={"application/json": ReplayRequest},
    problems=(400, 403, 404, 409, 413, 415, 422),
)
def replay_webhooks(endpoint_id: str, body: ReplayRequest, query: TenantQuery) -> ReplayPayload:
    here, tenant = service(), acting_tenant(query)
    with here.database.write() as connection:
        _enabled(connection, tenant, endpoint_id)
        sent = again.replay(
            connection, endpoint_id, since=body["since"], until=body.get("until"),
            events=body.get("events", ()), status=body["status"],
        )  # fmt: skip
        trail.note(connection, "webhook.replay", endpoint_id, tenant=tenant, deliveries=len(sent))
    if sent:
        here.send_delivery(sent[0])
    return ReplayPayload(object="webhook_replay", endpoint_id=endpoint_id, deliveries=len(sent))


@blueprint.post("/v1/webhook-endpoints/<endpoint_id>/test")
@require("admin")
@operation(
    "Send `test.ping` to an endpoint, whichever events it wants; `data` is the endpoint",
    {202: DeliveryPayload},
    query=TenantQuery,
    problems=(403, 404, 409),
)
def ping_webhook_endpoint(
    endpoint_id: str, query: TenantQuery
) -> tuple[dict[str, object], int, dict[str, str]]:
    here, tenant = service(), acting_tenant(query)
    with here.database.write() as connection:
        row = _enabled(connection, tenant, endpoint_id)
        at = database_time(connection)
        ping = owed.Event(TEST_PING, endpoint_payload(row, at), at, new_id("tst"))
        [delivery_id] = owed.owe(connection, [receivers.of_endpoint(row)], [ping], tenant)
        [shown] = webhooks.shown(connection, [_existing(connection, tenant, delivery_id)])
        trail.note(connection, "webhook.test", endpoint_id, tenant=tenant)
    here.send_delivery(delivery_id)
    where = {"Location": f"{base_url(request)}/v1/webhook-deliveries/{delivery_id}", "Retry-After": "1"}
    return dict(shown), 202, where


def _existing(connection: Connection, tenant: str, delivery_id: str) -> DeliveryRecord:
    row = again.find(connection, tenant, delivery_id)
    if row is None:
        raise not_found(f"webhook delivery {delivery_id}")
    return row


def _enabled(connection: Connection, tenant: str, endpoint_id: str) -> EndpointRecord:
    """An endpoint, locked; raises 404, or 409 where it is disabled."""
    row = endpoints.find(connection, tenant, endpoint_id, lock=True)
    if row is None:
        raise not_found(f"webhook endpoint {endpoint_id}")
    if not row.enabled:
        raise HttpProblem(
            409, "wrong_state", f"webhook endpoint {endpoint_id} is disabled: enable it by PATCH first"
        )
    return row
