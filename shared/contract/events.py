"""Events that a client may be told about, and the body of a webhook."""

from typing import Literal, TypedDict, get_args

from shared.clock import rfc3339
from shared.contract.batches import BatchPayload
from shared.contract.fields import Time

Event = Literal["batch.completed", "batch.failed", "batch.cancelled", "batch.expired"]
EVENTS: tuple[str, ...] = get_args(Event)


class EventPayload(TypedDict):
    """The body of a webhook, as Standard Webhooks lays it out."""

    type: str
    timestamp: Time
    data: BatchPayload


def event_payload(kind: str, data: BatchPayload, at: float) -> EventPayload:
    """The body of a webhook, as Standard Webhooks lays it out."""
    return {"type": kind, "timestamp": rfc3339(at), "data": data}
