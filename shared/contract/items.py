"""An item as the contract shows it."""

from typing import Annotated, Any, Literal, get_args

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, OneOf, Time
from shared.contract.states import ItemStatus, Reason, Verdict
from shared.errors import ItemErrorCode
from shared.ids import item_id
from shared.store.records import ItemRecord


class Timings(TypedDict):
    queue_ms: float | None
    decode_ms: float | None
    infer_ms: float | None


class ItemErrorPayload(TypedDict):
    """Why an item has no verdict; each code is explained in /docs/errors."""

    code: Annotated[str, OneOf(get_args(ItemErrorCode))]
    detail: str


class ItemPayload(TypedDict):
    """A position in a batch."""

    id: str
    object: Literal["item"]
    batch_id: str
    custom_id: Annotated[str | None, About("your id of the image, unique in its batch")]
    part_id: Annotated[str | None, About("the part that the image shows")]
    view: Annotated[str | None, About("from which side the image shows the part")]
    filename: str
    frame: Annotated[
        int | None, About("the place of the image in its file, from 1; null for the only image of its file")
    ]
    sha256: str | None
    status: Annotated[str, OneOf(ItemStatus)]
    verdict: Annotated[str, OneOf(Verdict)] | None
    reasons: Annotated[list[Annotated[str, OneOf(Reason)]], About("why a person should look")]
    score: Annotated[float | None, About("calibrated probability of a defect, 0 to 1")]
    threshold: Annotated[float | None, About("the one that this verdict used")]
    model_sha256: str | None
    attempts: int
    cached: bool
    timings: Timings
    metadata: dict[str, Any]
    error: ItemErrorPayload | None
    review: dict[str, Any] | None
    created_at: Time
    finished_at: Time


def item_payload(row: ItemRecord) -> ItemPayload:
    """An item from its row."""
    return {
        "id": item_id(row.batch_id, row.seq),
        "object": "item",
        "batch_id": row.batch_id,
        "custom_id": row.custom_id,
        "part_id": row.part_id,
        "view": row.view,
        "filename": row.filename,
        "frame": row.frame,
        "sha256": row.sha256,
        "status": row.status,
        "verdict": row.verdict,
        "reasons": row.reasons.split(",") if row.reasons else [],
        "score": row.score,
        "threshold": row.threshold,
        "model_sha256": row.model_sha256,
        "attempts": row.attempts,
        "cached": False,
        "timings": {"queue_ms": row.queue_ms, "decode_ms": row.decode_ms, "infer_ms": row.infer_ms},
        "metadata": row.metadata or {},
        "error": {"code": row.error_code, "detail": row.error_detail or ""} if row.error_code else None,
        "review": None,
        "created_at": rfc3339(row.created_at),
        "finished_at": rfc3339(row.finished_at),
    }
