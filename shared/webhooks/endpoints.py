"""The rows of webhook endpoints: made, changed, deleted, enabled and disabled.

Each change locks the endpoint's row before it touches deliveries, and so does each try: two of them never wait for each
other.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, insert, null, or_, select, update
from sqlalchemy.exc import IntegrityError

from shared.contract.states import DeliveryStatus, DisabledReason
from shared.contract.webhook_endpoints import WARN_AFTER_FAILURES
from shared.errors import GonogoError
from shared.ids import new_id
from shared.store.engine import clock, database_time
from shared.store.lines import line_of
from shared.store.records import EndpointRecord
from shared.store.tables import Attempt, Delivery, WebhookEndpoint
from shared.webhooks.lines import to_endpoint
from shared.webhooks.signing import new_secret

MOST_OF_A_TENANT = 50  # each event is held against all of them
MOST_SECRETS_IN_GRACE = 10  # each signs every message
_ROWS = select(WebhookEndpoint.__table__)


class TooManyEndpoints(GonogoError):
    """The tenant has as many endpoints as it may have."""

    code = "too_many_endpoints"


class TooManySecrets(GonogoError):
    """As many secrets of the endpoint as may are in their grace."""

    code = "wrong_state"


def find(
    connection: Connection, tenant: str, endpoint_id: str, *, lock: bool = False
) -> EndpointRecord | None:
    """An endpoint of the tenant; with `lock`, its row stays locked until the transaction ends."""
    query = _ROWS.where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.tenant == tenant)
    return _first(connection, query.with_for_update() if lock else query)


def lock(connection: Connection, endpoint_id: str) -> EndpointRecord | None:
    """Any tenant's endpoint, locked until the transaction ends."""
    return _first(connection, _ROWS.where(WebhookEndpoint.id == endpoint_id).with_for_update())


def of_key(connection: Connection, tenant: str, key: str) -> EndpointRecord | None:
    """The endpoint that an idempotent request with this key made."""
    return _first(connection, _ROWS.where(WebhookEndpoint.tenant == tenant, WebhookEndpoint.key == key))


def states(connection: Connection) -> dict[str, int]:
    """How many endpoints of all tenants are well, fail, or were disabled by the service."""
    found = {"enabled": 0, "failing": 0, "disabled": 0}
    rows = select(WebhookEndpoint.enabled, WebhookEndpoint.failures, WebhookEndpoint.disabled_reason)
    for row in connection.execute(rows):
        if row.enabled:
            found["failing" if row.failures >= WARN_AFTER_FAILURES else "enabled"] += 1
        elif row.disabled_reason != DisabledReason.BY_REQUEST:
            found["disabled"] += 1
    return found


def ill(connection: Connection, for_s: float) -> list[EndpointRecord]:
    """Endpoints of all tenants that the service disabled, or that fail often or for a time.

    Often: their payload warns. For a time: every try of the last `for_s` seconds and more failed.
    """
    is_long = WebhookEndpoint.failing_since < clock() - for_s
    often = WebhookEndpoint.failures >= WARN_AFTER_FAILURES
    fails = and_(WebhookEndpoint.enabled.is_(True), WebhookEndpoint.failures > 0, or_(often, is_long))
    disabled = WebhookEndpoint.disabled_reason.in_((DisabledReason.FAILING, DisabledReason.GONE))
    rows = connection.execute(_ROWS.where(or_(fails, disabled)).order_by(WebhookEndpoint.id))
    return [EndpointRecord._make(row) for row in rows]


def _first(connection: Connection, query: Select[Any]) -> EndpointRecord | None:
    row = connection.execute(query).first()
    return None if row is None else EndpointRecord._make(row)


def create(connection: Connection, tenant: str, columns: Mapping[str, object]) -> EndpointRecord | None:
    """Make an endpoint; `columns` may hold a secret. None where another request has just used the same key.

    Raises TooManyEndpoints.
    """
    count = select(func.count()).select_from(WebhookEndpoint).where(WebhookEndpoint.tenant == tenant)
    if (connection.scalar(count) or 0) >= MOST_OF_A_TENANT:
        raise TooManyEndpoints(f"a tenant has at most {MOST_OF_A_TENANT} webhook endpoints: delete one")
    row = {
        "id": new_id("whe"),
        "tenant": tenant,
        "enabled": True,
        "failures": 0,
        **columns,
        "secret": columns.get("secret") or new_secret(),
    }
    statement = insert(WebhookEndpoint).values(created_at=clock())
    try:
        with connection.begin_nested():
            made = connection.execute(statement.returning(WebhookEndpoint.__table__), row).one()
    except IntegrityError:
        return None
    return EndpointRecord._make(made)


def change(connection: Connection, row: EndpointRecord, columns: Mapping[str, object]) -> EndpointRecord:
    """Change columns of an endpoint that the caller has locked. Deliveries that wait follow a new URL."""
    if "url" in columns:
        line = line_of(row.tenant, str(columns["url"]), row.id)
        connection.execute(update(Delivery).where(to_endpoint(row.id)).values(line=line))
    changed = update(WebhookEndpoint).where(WebhookEndpoint.id == row.id)
    return EndpointRecord._make(
        connection.execute(changed.values(columns).returning(WebhookEndpoint.__table__)).one()
    )


def enable(connection: Connection, row: EndpointRecord) -> EndpointRecord:
    """Enable an endpoint that the caller has locked; its held deliveries are due now."""
    if row.enabled:
        return row
    due = {"status": DeliveryStatus.PENDING, "due_at": clock()}
    _of_status(connection, row.id, DeliveryStatus.HELD, due)
    values = {"enabled": True, "disabled_reason": None, "disabled_at": None, "failures": 0}
    return change(connection, row, {**values, "failing_since": None})


def disable(connection: Connection, row: EndpointRecord, reason: DisabledReason) -> EndpointRecord:
    """Disable an endpoint that the caller has locked; the deliveries that wait are held."""
    if not row.enabled:
        return row
    _of_status(connection, row.id, DeliveryStatus.PENDING, {"status": DeliveryStatus.HELD})
    return change(connection, row, {"enabled": False, "disabled_reason": reason, "disabled_at": clock()})


def _of_status(
    connection: Connection, endpoint_id: str, status: DeliveryStatus, values: Mapping[str, object]
) -> None:
    theirs = update(Delivery).where(to_endpoint(endpoint_id), Delivery.status == status)
    connection.execute(theirs.values(values))


def rotate(
    connection: Connection,
    row: EndpointRecord,
    *,
    grace_s: float,
    secret: str | None = None,
    key: str | None = None,
    fingerprint: str | None = None,
) -> EndpointRecord:
    """Replace the secret; messages carry the old one's signature too for `grace_s` seconds.

    Secrets of earlier rotations sign until their own grace is over; without a grace, all of them end now. `key` and
    `fingerprint` are those of an idempotent request. Raises TooManySecrets.
    """
    at = database_time(connection)
    older = row.in_grace(at)
    values: dict[str, object] = {
        "secret": secret or new_secret(),
        "old_secret": None,
        "old_secret_until": None,
    }
    values |= {"older_secrets": [], "rotation_key": key, "rotation_fingerprint": fingerprint}
    if grace_s > 0:
        if len(older) >= MOST_SECRETS_IN_GRACE:
            raise TooManySecrets(
                f"{len(older)} secrets of {row.id} still sign: wait, or rotate with a grace of 0"
            )
        values |= {"old_secret": row.secret, "old_secret_until": at + grace_s, "older_secrets": older}
    return change(connection, row, values)


def remove(connection: Connection, endpoint_id: str) -> None:
    """Delete an endpoint that the caller has locked, with its deliveries and their tries."""
    theirs = select(Delivery.id).where(to_endpoint(endpoint_id))
    connection.execute(delete(Attempt).where(Attempt.delivery_id.in_(theirs)))
    connection.execute(delete(Delivery).where(to_endpoint(endpoint_id)))
    connection.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id))


def failed(connection: Connection, row: EndpointRecord, at: float) -> EndpointRecord:
    """Count a failed try of an endpoint that the caller has locked."""
    since = at if row.failing_since is None else min(at, row.failing_since)
    return change(connection, row, {"failures": row.failures + 1, "failing_since": since})


def succeeded(connection: Connection, row: EndpointRecord) -> None:
    """End the run of failed tries of an endpoint that the caller has locked."""
    if row.failures:
        change(connection, row, {"failures": 0, "failing_since": null()})
