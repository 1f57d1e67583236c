"""Events that a client may be told about, and the body of a webhook."""

from collections.abc import Mapping
from typing import Annotated

from annotated_types import Ge, Le, Lt
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.batches import BatchPayload
from shared.contract.drift import DriftWindowPayload
from shared.contract.fields import WHOLE, About, OneOf, Share, Time, closed
from shared.contract.items import ItemPayload
from shared.contract.model_versions import ModelPayload
from shared.contract.pages import Page
from shared.contract.parts import PartPayload

BATCH_EVENTS = ("batch.completed", "batch.failed", "batch.cancelled", "batch.expired")
PART_COMPLETED = "part.completed"
CREATED, QUEUED, STARTED = "batch.created", "batch.queued", "batch.started"
PAUSED, RESUMED, CANCELLING, RETRIED = "batch.paused", "batch.resumed", "batch.cancelling", "batch.retried"
RESCORED = "batch.rescored"
PROGRESS = "batch.progress"
STREAM_END = "end"  # says that nothing follows, since the batch has ended
ITEMS_COMPLETED = "items.completed"
DEFECT_DETECTED, REVIEW_REQUIRED = "item.defect_detected", "item.review_required"
ITEM_REVIEWED = "item.reviewed"
DEFECT_RATE_EXCEEDED = "batch.defect_rate_exceeded"
# Derived from rows by the process that sends webhooks (shared/lifecycle/telling.py).
TOLD_EVENTS = (ITEMS_COMPLETED, DEFECT_DETECTED, REVIEW_REQUIRED, PROGRESS, DEFECT_RATE_EXCEEDED)
EVENTS = (*BATCH_EVENTS, RESCORED, PART_COMPLETED, *TOLD_EVENTS, ITEM_REVIEWED)
DRIFT_DETECTED = "drift.detected"
MODEL_ACTIVATED, ENDPOINT_DISABLED, TEST_PING = "model.activated", "webhook_endpoint.disabled", "test.ping"
# The events that an endpoint may ask for; `test.ping` is sent on request alone.
ENDPOINT_EVENTS = (*EVENTS, DRIFT_DETECTED, MODEL_ACTIVATED, ENDPOINT_DISABLED)

# A sentence for each event that is sent, for the document.
SUMMARIES = {
    "batch.completed": "A batch is completed",
    "batch.failed": "A batch is failed: nothing in it could be used",
    "batch.cancelled": "A batch is cancelled",
    "batch.expired": "A batch has met its deadline",
    RESCORED: "A batch was judged by another operating point",
    PROGRESS: "The counts of a batch have changed; at most each ten seconds",
    DEFECT_RATE_EXCEEDED: "More of a batch are defects than its option `defect_rate_alert` says; once",
    PART_COMPLETED: "A part has its verdict",
    ITEMS_COMPLETED: "Items were judged: at most a hundred of them, and at most two seconds ago",
    DEFECT_DETECTED: "An item is a defect",
    REVIEW_REQUIRED: "A person must look at an item",
    ITEM_REVIEWED: "Persons have given their verdict on an item, or have taken it back: `review` is null then",
    DRIFT_DETECTED: "The images of a line no longer look like the model's reference",
    MODEL_ACTIVATED: "A model version became the active one",
    ENDPOINT_DISABLED: "The service disabled another endpoint of the tenant",
    TEST_PING: "A test, sent on request",
}


@closed
class DefectRateAlert(TypedDict):
    """When to tell, once, that a batch has many defects."""

    share: Annotated[
        Share, Lt(1), About("the share of defects among its verdicts above which it is told", examples=[0.05])
    ]
    after: Annotated[
        int, Ge(1), Le(1_000_000), WHOLE, About("verdicts that there must be before", examples=[100])
    ]


class EventPayload(TypedDict):
    """The body of a webhook about a batch, as Standard Webhooks lays it out."""

    type: Annotated[str, OneOf((*BATCH_EVENTS, RESCORED, PROGRESS, DEFECT_RATE_EXCEEDED))]
    timestamp: Time
    data: BatchPayload


class ItemEventPayload(TypedDict):
    """The body of a webhook about an item."""

    type: Annotated[str, OneOf((DEFECT_DETECTED, REVIEW_REQUIRED, ITEM_REVIEWED))]
    timestamp: Time
    data: ItemPayload


class ItemsEventPayload(TypedDict):
    """The body of a webhook about items of a batch, at most a hundred."""

    type: Annotated[str, OneOf((ITEMS_COMPLETED,))]
    timestamp: Time
    data: Page[ItemPayload]


class PartEventPayload(TypedDict):
    """The body of a webhook about a part."""

    type: Annotated[str, OneOf((PART_COMPLETED,))]
    timestamp: Time
    data: PartPayload


class DriftEventPayload(TypedDict):
    """The body of a webhook about a window of images with drift, where the window before had none."""

    type: Annotated[str, OneOf((DRIFT_DETECTED,))]
    timestamp: Time
    data: DriftWindowPayload


class ModelEventPayload(TypedDict):
    """The body of a webhook about a model version that became the active one."""

    type: Annotated[str, OneOf((MODEL_ACTIVATED,))]
    timestamp: Time
    data: ModelPayload


def event_payload(kind: str, data: Mapping[str, object], at: float) -> dict[str, object]:
    """The body of a webhook; `data` is the object as GET shows it."""
    return {"type": kind, "timestamp": rfc3339(at), "data": data}
