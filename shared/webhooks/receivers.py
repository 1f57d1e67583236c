"""The receivers of an event: the webhook of its batch, and the endpoints of its tenant that want it."""

import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, or_, select, true

from shared.contract.events import BATCH_EVENTS
from shared.contract.filters import EndpointFilters
from shared.contract.states import DisabledReason, Verdict
from shared.store.lines import line_of, path_of
from shared.store.records import BatchRecord, EndpointRecord
from shared.store.tables import WebhookEndpoint


class Content(NamedTuple):
    """The verdicts, production line and metadata of an event's object, as content filters see them."""

    verdicts: Collection[str] = ()
    line: str | None = None
    metadata: Mapping[str, object] = {}


class Receiver(NamedTuple):
    """A receiver that wants an event. An endpoint's deliveries have no URL and no secret of their own."""

    endpoint_id: str
    url: str
    secret: str
    line: str
    filters: EndpointFilters
    is_held: bool

    def takes(self, content: Content | None) -> bool:
        """Whether the content passes the receiver's filters; None passes each."""
        if content is None or not self.filters:
            return True
        verdicts, lines = self.filters.get("verdict"), self.filters.get("line")
        noted = self.filters.get("metadata") or {}
        return (
            (not verdicts or bool({*verdicts} & {*content.verdicts}))
            and (not lines or content.line in lines)
            and all(
                key in content.metadata and _spelled(content.metadata[key]) == _spelled(value)
                for key, value in noted.items()
            )
        )


def _spelled(value: object) -> str:
    """A text as it is, another value as JSON: the filter `4` finds the number, written 4 or 4.0, and the text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


def content_of(batch: BatchRecord) -> Content:
    """The content of an event about a whole batch: each verdict that one of its items has."""
    verdicts = [verdict for verdict in Verdict if getattr(batch, verdict)]
    return Content(verdicts, batch.line, batch.metadata)


# An endpoint that fails is owed its events all the same: they are sent when it is enabled again.
_IS_OWED = or_(WebhookEndpoint.enabled == true(), WebhookEndpoint.disabled_reason == DisabledReason.FAILING)


def _wants(event: object) -> ColumnElement[bool]:
    return WebhookEndpoint.events.contains(event, autoescape=False)


def listening(tenant: object, *events: str) -> ColumnElement[bool]:
    """Whether an endpoint of the tenant wants one of the events: a condition for a statement that is sent anyway.

    `tenant` is a column or a value.
    """
    wanted = or_(*(_wants(f" {event} ") for event in events))
    return exists().where(and_(WebhookEndpoint.tenant == tenant, _IS_OWED, wanted))


_OF_TENANT = (
    select(WebhookEndpoint.__table__)
    .where(WebhookEndpoint.tenant == bindparam("of_tenant"), _IS_OWED, _wants(bindparam("of_event")))
    .order_by(WebhookEndpoint.id)
)


def of(connection: Connection, tenant: str, event: str, batch: BatchRecord | None = None) -> list[Receiver]:
    """The receivers of an event, before their content filters: one statement."""
    rows = connection.execute(_OF_TENANT, {"of_tenant": tenant, "of_event": f" {event} "})
    endpoints = [of_endpoint(EndpointRecord._make(row)) for row in rows]
    return [*_of_batch(batch, event), *endpoints]


def tenants(connection: Connection, event: str) -> list[str]:
    """The tenants that have an endpoint which wants an event."""
    query = select(WebhookEndpoint.tenant).where(_IS_OWED, _wants(f" {event} ")).distinct()
    return list(connection.scalars(query.order_by(WebhookEndpoint.tenant)))


def of_endpoint(row: EndpointRecord) -> Receiver:
    """An endpoint as a receiver, whichever events it wants."""
    return Receiver(row.id, "", "", line_of(row.tenant, row.url, row.id), row.filters, not row.enabled)


def batch_wants(batch: BatchRecord | None, event: str) -> bool:
    """Whether the batch's own webhook wants the event. Events other than the batch's end must be named."""
    webhook = batch.webhook if batch is not None else None
    return bool(webhook and event in (webhook.get("events") or BATCH_EVENTS))


def _of_batch(batch: BatchRecord | None, event: str) -> list[Receiver]:
    if batch is None or not batch.webhook or not batch_wants(batch, event):
        return []
    url, secret = batch.webhook["url"], batch.webhook["secret"]
    return [Receiver("", url, secret, line_of(batch.tenant, url, path_of(url)), {}, False)]
