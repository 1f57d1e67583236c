"""Webhook endpoints of a tenant: the caller's own, or the tenant that an operator names."""

from flask import Blueprint, request
from sqlalchemy import Connection, select

from shared.access.keys import check_tenant
from shared.contract.pages import Page, page
from shared.contract.queries import TenantQuery
from shared.contract.states import DisabledReason
from shared.contract.webhook_endpoints import (
    EndpointChange,
    EndpointPayload,
    EndpointRequest,
    SecretRotation,
    columns_of,
    endpoint_payload,
)
from shared.store.engine import database_time
from shared.store.records import EndpointRecord
from shared.store.tables import WebhookEndpoint
from shared.webhooks import endpoints
from web.http import idempotency, trail
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation
from web.http.problems import not_found
from web.http.tenants import acting_tenant
from web.resources.webhooks import check_receiver
from web.service import service

blueprint = Blueprint("webhook_endpoints", __name__)
_HEADERS = {
    "Idempotency-Key": (
        "the same key with the same content is answered with the same endpoint",
        {"minLength": 1, "maxLength": 255},
    )
}
_ROTATION_HEADERS = {
    "Idempotency-Key": (
        "the key of the endpoint's last rotation with the same content is answered with the same secret",
        {"minLength": 1, "maxLength": 255},
    )
}


@blueprint.get("/v1/webhook-endpoints")
@require("admin")
@operation(
    "List the tenant's webhook endpoints, oldest first; a tenant has at most 50",
    {200: Page[EndpointPayload]},
    query=TenantQuery,
    problems=(403,),
)
def list_webhook_endpoints(query: TenantQuery) -> Page[EndpointPayload]:
    rows = select(WebhookEndpoint.__table__).where(WebhookEndpoint.tenant == acting_tenant(query))
    with service().database.read() as connection:
        at = database_time(connection)
        found = connection.execute(rows.order_by(WebhookEndpoint.id)).all()
    return page([endpoint_payload(EndpointRecord._make(row), at) for row in found], None)


@blueprint.post("/v1/webhook-endpoints")
@require("admin")
@operation(
    "Make a webhook endpoint; its secret is shown in this answer, and in the answer to a repetition",
    {201: EndpointPayload},
    query=TenantQuery,
    body={"application/json": EndpointRequest},
    headers=_HEADERS,
    answer_headers={"Location": "where the endpoint is"},
    problems=(400, 403, 409, 413, 415, 422),
)
def create_webhook_endpoint(
    body: EndpointRequest, query: TenantQuery
) -> tuple[EndpointPayload, int, dict[str, str]]:
    here, tenant = service(), acting_tenant(query)
    check_tenant(tenant)
    check_receiver(here, body["url"])
    key = idempotency.key_of(request)
    fingerprint = idempotency.fingerprint(body)
    columns = {**columns_of(body), "secret": body.get("secret"), "key": key, "fingerprint": fingerprint}
    with here.database.write() as connection:
        row = endpoints.of_key(connection, tenant, key) if key is not None else None
        if row is None and (row := endpoints.create(connection, tenant, columns)) is not None:
            trail.note(
                connection, "webhook.create", row.id, tenant=tenant, url=row.url, events=body["events"]
            )
        elif row is None and key is not None:
            row = endpoints.of_key(connection, tenant, key)  # the other request has committed
        at = database_time(connection)
    if row is None or row.fingerprint != fingerprint:
        raise idempotency.reused()
    where = {"Location": f"{base_url(request)}/v1/webhook-endpoints/{row.id}"}
    return endpoint_payload(row, at, row.secret), 201, where


@blueprint.get("/v1/webhook-endpoints/<endpoint_id>")
@require("admin")
@operation(
    "A webhook endpoint, without its secret",
    {200: EndpointPayload},
    query=TenantQuery,
    problems=(403, 404),
)
def get_webhook_endpoint(endpoint_id: str, query: TenantQuery) -> EndpointPayload:
    tenant = acting_tenant(query)
    with service().database.read() as connection:
        row = endpoints.find(connection, tenant, endpoint_id)
        if row is None:
            raise not_found(f"webhook endpoint {endpoint_id}")
        return endpoint_payload(row, database_time(connection))


@blueprint.patch("/v1/webhook-endpoints/<endpoint_id>")
@require("admin")
@operation(
    "Change a webhook endpoint, enable or disable it; members that are not named stay",
    {200: EndpointPayload},
    query=TenantQuery,
    body={"application/json": EndpointChange},
    problems=(400, 403, 404, 413, 415, 422),
)
def change_webhook_endpoint(endpoint_id: str, body: EndpointChange, query: TenantQuery) -> EndpointPayload:
    here, tenant = service(), acting_tenant(query)
    if "url" in body:
        check_receiver(here, body["url"])
    with here.database.write() as connection:
        row = _locked(connection, tenant, endpoint_id)
        was_enabled = row.enabled
        if columns := columns_of(body):
            row = endpoints.change(connection, row, columns)
        if (enabled := body.get("enabled")) is not None:
            row = (
                endpoints.enable(connection, row)
                if enabled
                else endpoints.disable(connection, row, DisabledReason.BY_REQUEST)
            )
        at = database_time(connection)
        trail.note(connection, "webhook.change", row.id, tenant=tenant, changed={**body})
    if row.enabled and not was_enabled:
        here.send_delivery(row.id)  # its held deliveries are due: any message makes the workers look
    return endpoint_payload(row, at)


@blueprint.delete("/v1/webhook-endpoints/<endpoint_id>")
@require("admin")
@operation(
    "Delete a webhook endpoint with its deliveries", {204: None}, query=TenantQuery, problems=(403, 404)
)
def delete_webhook_endpoint(endpoint_id: str, query: TenantQuery) -> tuple[str, int]:
    tenant = acting_tenant(query)
    with service().database.write() as connection:
        row = _locked(connection, tenant, endpoint_id)
        endpoints.remove(connection, row.id)
        trail.note(connection, "webhook.delete", row.id, tenant=tenant, url=row.url)
    return "", 204


@blueprint.post("/v1/webhook-endpoints/<endpoint_id>/rotate-secret")
@require("admin")
@operation(
    "Replace the secret, which this answer shows; for `grace` seconds the old one signs each message too",
    {200: EndpointPayload},
    query=TenantQuery,
    body={"application/json": SecretRotation},
    headers=_ROTATION_HEADERS,
    problems=(400, 403, 404, 409, 413, 415, 422),
)
def rotate_webhook_secret(endpoint_id: str, body: SecretRotation, query: TenantQuery) -> EndpointPayload:
    tenant, grace_s = acting_tenant(query), body["grace"]
    key, fingerprint = idempotency.key_of(request), idempotency.fingerprint(body)
    with service().database.write() as connection:
        row = _locked(connection, tenant, endpoint_id)
        if key is None or row.rotation_key != key:
            row = endpoints.rotate(
                connection, row, grace_s=grace_s, secret=body.get("secret"), key=key, fingerprint=fingerprint
            )
            trail.note(connection, "webhook.rotate", row.id, tenant=tenant, grace=grace_s)
        elif row.rotation_fingerprint != fingerprint:
            raise idempotency.reused()
        at = database_time(connection)
    return endpoint_payload(row, at, row.secret)


def _locked(connection: Connection, tenant: str, endpoint_id: str) -> EndpointRecord:
    row = endpoints.find(connection, tenant, endpoint_id, lock=True)
    if row is None:
        raise not_found(f"webhook endpoint {endpoint_id}")
    return row
