"""Deliveries as the contract shows them: an event that is owed to a receiver, and the tries so far."""

import json
from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.events import ENDPOINT_EVENTS, TEST_PING
from shared.contract.fields import About, Moment, OneOf, Time, closed
from shared.contract.queries import Cursor, TenantQuery
from shared.contract.states import DeliveryStatus
from shared.store.records import AttemptRecord, DeliveryRecord


@closed
class DeliveryListQuery(TenantQuery, total=False):
    """Deliveries, the newest first."""

    status: Annotated[
        list[Annotated[str, OneOf(DeliveryStatus)]],
        Len(1),
        About("these states, comma-separated; `exhausted` are those that were given up"),
    ]
    event: Annotated[
        list[Annotated[str, OneOf((*ENDPOINT_EVENTS, TEST_PING))]],
        Len(1),
        About("these events, comma-separated", examples=[["batch.completed"]]),
    ]
    created_after: Annotated[Moment, About("RFC 3339 with an offset", examples=["2026-11-24T10:00:00Z"])]
    created_before: Annotated[Moment, About("RFC 3339 with an offset", examples=["2126-11-24T10:00:00Z"])]
    limit: Annotated[int, Ge(1), Le(200), About("deliveries on a page", default=50)]
    cursor: Cursor


class AttemptPayload(TypedDict):
    """An HTTP try."""

    at: Time
    status: Annotated[int | None, About("the receiver's answer; null where none came")]
    latency_ms: float
    answer: Annotated[str, About("its first 500 bytes, with escapes for what cannot be shown")]
    error: Annotated[str | None, About("why it was no success")]


class DeliveryPayload(TypedDict):
    """An event that is owed to a receiver."""

    id: Annotated[str, About("the `webhook-id` of each try")]
    object: Literal["webhook_delivery"]
    endpoint_id: Annotated[str | None, About("null for the webhook of a batch")]
    batch_id: Annotated[str | None, About("null for an event about no batch")]
    event: Annotated[str, OneOf((*ENDPOINT_EVENTS, TEST_PING))]
    url: Annotated[str, About("where the next try goes")]
    status: Annotated[str, OneOf(DeliveryStatus)]
    attempts: Annotated[list[AttemptPayload], About("the tries, oldest first; the last 20")]
    next_attempt_at: Annotated[Time, About("null unless it is pending")]
    created_at: Time
    finished_at: Time
    payload: Annotated[dict[str, object], About("the message: `type`, `timestamp` and `data`")]


def delivery_payload(row: DeliveryRecord, url: str, attempts: Sequence[AttemptRecord]) -> DeliveryPayload:
    """A delivery from its row, the URL of its receiver, and its tries."""
    return {
        "id": row.id,
        "object": "webhook_delivery",
        "endpoint_id": row.endpoint_id or None,
        "batch_id": row.batch_id or None,
        "event": row.event,
        "url": url,
        "status": row.status,
        "attempts": [
            {
                "at": rfc3339(each.at),
                "status": each.status,
                "latency_ms": round(each.latency_ms, 1),
                "answer": each.answer,
                "error": each.error,
            }
            for each in attempts
        ],
        "next_attempt_at": rfc3339(row.due_at) if row.status == DeliveryStatus.PENDING else None,
        "created_at": rfc3339(row.created_at),
        "finished_at": rfc3339(row.finished_at),
        "payload": json.loads(row.body),
    }
