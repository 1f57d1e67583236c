"""Events that a client may be told about, and the body of a webhook."""

from typing import Annotated

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.batches import BatchPayload
from shared.contract.fields import OneOf, Time

EVENTS = ("batch.completed", "batch.failed", "batch.cancelled", "batch.expired")


class EventPayload(TypedDict):
    """The body of a webhook, as Standard Webhooks lays it out."""

    type: Annotated[str, OneOf(EVENTS)]
    timestamp: Time
    data: BatchPayload


def event_payload(kind: str, data: BatchPayload, at: float) -> EventPayload:
    """The body of a webhook, as Standard Webhooks lays it out."""
    return {"type": kind, "timestamp": rfc3339(at), "data": data}
