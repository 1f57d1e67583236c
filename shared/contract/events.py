"""Events that a client may be told about, and the body of a webhook."""

from collections.abc import Mapping
from typing import Annotated, Any

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.batches import BatchPayload
from shared.contract.fields import OneOf, Time
from shared.contract.model_versions import ModelPayload
from shared.contract.parts import PartPayload

BATCH_EVENTS = ("batch.completed", "batch.failed", "batch.cancelled", "batch.expired")
PART_COMPLETED = "part.completed"
CREATED, QUEUED, STARTED = "batch.created", "batch.queued", "batch.started"
PAUSED, RESUMED, CANCELLING, RETRIED = "batch.paused", "batch.resumed", "batch.cancelling", "batch.retried"
PROGRESS = "batch.progress"
# The events of GET /v1/batches/{id}/events. Progress has no row of its own: it is the batch as it stands.
STREAM_EVENTS = (CREATED, QUEUED, STARTED, PAUSED, RESUMED, CANCELLING, RETRIED, *BATCH_EVENTS, PROGRESS)
STREAM_END = "end"  # says that nothing follows, since the batch has ended
EVENTS = (*BATCH_EVENTS, PART_COMPLETED)
MODEL_ACTIVATED, ENDPOINT_DISABLED, TEST_PING = "model.activated", "webhook_endpoint.disabled", "test.ping"
# The events that an endpoint may ask for; `test.ping` is sent on request alone.
ENDPOINT_EVENTS = (*EVENTS, MODEL_ACTIVATED, ENDPOINT_DISABLED)


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


class ModelEventPayload(TypedDict):
    """The body of a webhook about a model version that became the active one."""

    type: Annotated[str, OneOf((MODEL_ACTIVATED,))]
    timestamp: Time
    data: ModelPayload


def event_payload(kind: str, data: Mapping[str, Any], at: float) -> dict[str, Any]:
    """The body of a webhook; `data` is the object as GET shows it."""
    return {"type": kind, "timestamp": rfc3339(at), "data": data}
