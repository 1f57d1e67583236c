"""The run of failed tries of an endpoint, and its end: a success, or the endpoint is disabled."""

from sqlalchemy import Connection

from shared.access import audit
from shared.contract.events import ENDPOINT_DISABLED
from shared.contract.states import DisabledReason
from shared.contract.webhook_endpoints import DISABLE_AFTER_FAILURES, DISABLE_AFTER_S, endpoint_payload
from shared.store.engine import database_time
from shared.store.records import EndpointRecord
from shared.webhooks import endpoints, owed, receivers

_GONE = 410


def note(
    connection: Connection, endpoint: EndpointRecord, *, at: float, status: int | None, delivered: bool
) -> None:
    """Note a try of an endpoint that the caller has locked. A run of failed tries, or a 410, disables it.

    `at` is when the try began, `status` the receiver's answer.
    """
    if delivered:
        endpoints.succeeded(connection, endpoint)
        return
    failing = endpoints.failed(connection, endpoint, at)
    is_long = at - (failing.failing_since or at) >= DISABLE_AFTER_S
    if not failing.enabled:
        return
    if status == _GONE:
        _disable(connection, failing, DisabledReason.GONE)
    elif is_long and failing.failures >= DISABLE_AFTER_FAILURES:
        _disable(connection, failing, DisabledReason.FAILING)


def _disable(connection: Connection, endpoint: EndpointRecord, reason: DisabledReason) -> None:
    """Disable it, and owe the event to the tenant's other endpoints."""
    disabled = endpoints.disable(connection, endpoint, reason)
    at = database_time(connection)
    event = owed.Event(ENDPOINT_DISABLED, endpoint_payload(disabled, at), at, f"{disabled.id} {at}")
    listening = receivers.of(connection, disabled.tenant, ENDPOINT_DISABLED)
    others = [each for each in listening if each.endpoint_id != disabled.id]
    owed.owe(connection, others, [event], disabled.tenant)
    audit.append(
        connection, audit.SERVICE, "webhook.disable", tenant=disabled.tenant, object_id=disabled.id,
        reason=reason, failures=disabled.failures,
    )  # fmt: skip
