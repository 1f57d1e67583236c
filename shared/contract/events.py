"""Events that a client may be told about, and the body of a webhook."""

from typing import Annotated

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.batches import BatchPayload
from shared.contract.fields import OneOf, Time
from shared.contract.parts import PartPayload

BATCH_EVENTS = ("batch.completed", "batch.failed", "batch.cancelled", "batch.expired")
PART_COMPLETED = "part.completed"
EVENTS = (*BATCH_EVENTS, PART_COMPLETED)


class EventPayload(TypedDict):
    """The body of a webhook about a batch, as Standard Webhooks lays it out."""

    type: Annotated[str, OneOf(BATCH_EVENTS)]
    timestamp: Time
    data: BatchPayload


class PartEventPayload(TypedDict):
    """The body of a webhook about a part."""

    type: Annotated[str, OneOf((PART_COMPLETED,))]
    timestamp: Time
    data: PartPayload


def event_payload(kind: str, data: BatchPayload, at: float) -> EventPayload:
    """The body of a webhook about a batch."""
    return {"type": kind, "timestamp": rfc3339(at), "data": data}


def part_event_payload(data: PartPayload, at: float) -> PartEventPayload:
    """The body of a webhook about a part."""
    return {"type": PART_COMPLETED, "timestamp": rfc3339(at), "data": data}
