"""Webhook endpoints of a tenant, and the deliveries to them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from shared.client.calls import JSON, get, pages, post
from shared.client.places import identifier, with_query
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.deliveries import DeliveryPayload
    from shared.contract.webhook_endpoints import (
        EndpointChange,
        EndpointPayload,
        EndpointRequest,
        ReplayPayload,
    )

_TOP, _DELIVERIES = "/v1/webhook-endpoints", "/v1/webhook-deliveries"


class Endpoints:
    """Administer the receivers of a tenant's events. An operator may name another tenant."""

    _wire: Transport

    def webhooks(self, *, tenant: str | None = None) -> Iterator[EndpointPayload]:
        """The endpoints, without their secrets."""
        return pages(self._wire, _TOP, {"tenant": tenant})

    def webhook(self, endpoint_id: str, *, tenant: str | None = None) -> EndpointPayload:
        return cast("EndpointPayload", get(self._wire, _place(endpoint_id, tenant)))

    def create_webhook(
        self, asked: EndpointRequest, *, tenant: str | None = None, idempotency_key: str | None = None
    ) -> EndpointPayload:
        """A new endpoint; its `secret` is in this answer. Every try of one call carries the same Idempotency-Key."""
        headers = {**JSON, "Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        body, path = json.dumps(asked).encode(), with_query(_TOP, tenant=tenant)
        return cast("EndpointPayload", self._wire.call("POST", path, body=body, headers=headers).json())

    def change_webhook(
        self, endpoint_id: str, change: EndpointChange, *, tenant: str | None = None
    ) -> EndpointPayload:
        """Change members; `{"enabled": True}` sends what was held."""
        body, path = json.dumps(change).encode(), _place(endpoint_id, tenant)
        return cast("EndpointPayload", self._wire.call("PATCH", path, body=body, headers=JSON).json())

    def delete_webhook(self, endpoint_id: str, *, tenant: str | None = None) -> None:
        """Delete an endpoint with its deliveries."""
        self._wire.call("DELETE", _place(endpoint_id, tenant))

    def rotate_webhook_secret(
        self,
        endpoint_id: str,
        *,
        grace: float | None = None,
        tenant: str | None = None,
        idempotency_key: str | None = None,
    ) -> EndpointPayload:
        """A new secret, in this answer; the old one signs too for `grace` seconds (a day where absent).

        Every try of one call carries the same Idempotency-Key.
        """
        headers = {**JSON, "Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        body = json.dumps({} if grace is None else {"grace": grace}).encode()
        path = _place(endpoint_id, tenant, "/rotate-secret")
        return cast("EndpointPayload", self._wire.call("POST", path, body=body, headers=headers).json())

    def test_webhook(self, endpoint_id: str, *, tenant: str | None = None) -> DeliveryPayload:
        """Send `test.ping`; `webhook_delivery()` tells how the try went."""
        path = _place(endpoint_id, tenant, "/test")
        return cast("DeliveryPayload", post(self._wire, path, once=True))

    def replay_webhooks(
        self,
        endpoint_id: str,
        *,
        since: str,
        until: str | None = None,
        events: list[str] | None = None,
        status: list[str] | None = None,
        tenant: str | None = None,
    ) -> ReplayPayload:
        """Send the deliveries again that were owed from `since` to `until`, RFC 3339 times."""
        given = {"since": since, "until": until, "events": events, "status": status}
        asked = {name: value for name, value in given.items() if value is not None}
        path = _place(endpoint_id, tenant, "/replay")
        return cast("ReplayPayload", post(self._wire, path, asked, once=True))

    def webhook_deliveries(
        self, endpoint_id: str | None = None, **filters: object
    ) -> Iterator[DeliveryPayload]:
        """Deliveries to an endpoint, or all of the tenant, newest first; filters as in the API (status, event, …)."""
        path = _DELIVERIES if endpoint_id is None else f"{_TOP}/{identifier(endpoint_id)}/deliveries"
        return pages(self._wire, path, filters)

    def webhook_delivery(self, delivery_id: str, *, tenant: str | None = None) -> DeliveryPayload:
        """A delivery with its tries."""
        path = with_query(f"{_DELIVERIES}/{identifier(delivery_id)}", tenant=tenant)
        return cast("DeliveryPayload", get(self._wire, path))

    def redeliver_webhook(self, delivery_id: str, *, tenant: str | None = None) -> DeliveryPayload:
        """Send a delivery again; ApiError 409 while it is tried, and while its endpoint is disabled."""
        path = with_query(f"{_DELIVERIES}/{identifier(delivery_id)}/redeliver", tenant=tenant)
        return cast("DeliveryPayload", post(self._wire, path, once=True))


def _place(endpoint_id: str, tenant: str | None, verb: str = "") -> str:
    return with_query(f"{_TOP}/{identifier(endpoint_id)}{verb}", tenant=tenant)
