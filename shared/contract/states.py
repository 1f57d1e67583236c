"""The statuses of batches, items, chunks, deliveries and model versions."""

from enum import StrEnum


class BatchStatus(StrEnum):
    DRAFT = "draft"
    QUEUED = "queued"
    PROCESSING = "processing"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


class ItemStatus(StrEnum):
    QUEUED = "queued"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class ChunkStatus(StrEnum):
    HELD = "held"  # its upload has not yet said which model and lane it is for
    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"


class FetchStatus(StrEnum):
    PENDING = "pending"
    HELD = "held"  # its batch is paused
    FAILED = "failed"  # kept, since a retry of the item fetches it again


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    HELD = "held"  # its endpoint is disabled; it goes on when the endpoint is enabled


class DisabledReason(StrEnum):
    """Why an endpoint is disabled."""

    BY_REQUEST = "by_request"
    GONE = "gone"  # its receiver answered 410
    FAILING = "failing"  # after a run of failed tries


class ModelStatus(StrEnum):
    TESTING = "testing"  # uploaded; a worker has yet to load it by trial
    READY = "ready"
    REFUSED = "refused"


class Verdict(StrEnum):
    DEFECT = "defect"
    NO_DEFECT = "no_defect"
    REVIEW = "review"


class Reason(StrEnum):
    """Why a person should look: the guard's reasons (blank, unfamiliar) hold whatever the score."""

    BLANK = "blank"
    UNFAMILIAR = "unfamiliar"
    LOW_CONFIDENCE = "low_confidence"


class Network(StrEnum):
    """The two networks of a cascade: the fast one judges every image, the strong one those that it is unsure of."""

    FAST = "fast"
    STRONG = "strong"


class PartRule(StrEnum):
    """How the verdicts of its views make the verdict of a part."""

    ANY_DEFECT = "any_defect"
    ALL_DEFECT = "all_defect"


class PartReason(StrEnum):
    """Why a person should look at a part."""

    MISSING_VIEW = "missing_view"
    VIEW_WITHOUT_VERDICT = "view_without_verdict"
    VIEW_IN_REVIEW = "view_in_review"


class Outcome(StrEnum):
    ALL_SUCCEEDED = "all_succeeded"
    PARTIAL = "partial"
    ALL_FAILED = "all_failed"


class Lane(StrEnum):
    """How urgent a batch is: each lane is a queue of its own, so bulk work never blocks a waiting person."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    LOW = "low"


UNLIKE = (Reason.BLANK, Reason.UNFAMILIAR)  # the image is unlike those the model was trained on
FINISHED_BATCH = frozenset(
    {BatchStatus.COMPLETED, BatchStatus.CANCELLED, BatchStatus.EXPIRED, BatchStatus.FAILED}
)
FINISHED_ITEM = frozenset({ItemStatus.SUCCEEDED, ItemStatus.FAILED, ItemStatus.CANCELLED, ItemStatus.EXPIRED})
