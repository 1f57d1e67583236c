"""An item as the contract shows it."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, OneOf, Time
from shared.contract.kinds import KIND
from shared.contract.reviews import ReviewPayload
from shared.contract.states import ItemStatus, Network, Reason, Verdict
from shared.errors import ItemErrorCode
from shared.ids import item_id
from shared.store.records import ItemRecord, JudgeRecord


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
    kind: Annotated[str | None, KIND]
    reasons: Annotated[list[Annotated[str, OneOf(Reason)]], About("why a person should look")]
    score: Annotated[float | None, About("calibrated probability of a defect, 0 to 1")]
    raw_score: Annotated[float | None, About("the network's output before calibration, a logit")]
    threshold: Annotated[float | None, About("the one that this verdict used")]
    review_band: Annotated[
        list[float] | None, About("the lowest and highest score that this verdict put in review")
    ]
    unfamiliarity: Annotated[
        float | None,
        About("the guard's distance in its bounds: over 1, the image is unlike those of the model"),
    ]
    model_sha256: str | None
    preprocessing_sha256: Annotated[str | None, About("of the rule that made the pixels")]
    worker: Annotated[str | None, About("the worker process that judged")]
    device: Annotated[str | None, About("the device on which the network ran", examples=["cpu"])]
    network: Annotated[
        Annotated[str, OneOf(Network)] | None,
        About("which network judged, where the model holds a fast one and a strong one"),
    ]
    attempts: int
    cached: Annotated[
        bool,
        About(
            "whether the score is that of an earlier item with the same bytes: no network looked at this one"
        ),
    ]
    cached_from: Annotated[str | None, About("the item whose score it is, which may have been deleted since")]
    timings: Timings
    metadata: dict[str, object]
    error: ItemErrorPayload | None
    review: Annotated[ReviewPayload | None, About("the persons' verdict, where they have given one")]
    created_at: Time
    finished_at: Time


def item_payload(
    row: ItemRecord, judges: Mapping[int, JudgeRecord], review: ReviewPayload | None = None
) -> ItemPayload:
    """An item from its row; its judge is among `judges`, where it has one."""
    judge = None if row.judge_id is None else judges[row.judge_id]
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
        "kind": row.kind,
        "reasons": row.reasons.split(",") if row.reasons else [],
        "score": row.score,
        "raw_score": row.raw_score,
        "threshold": row.threshold,
        "review_band": None if row.review_low is None else [row.review_low, row.review_high or 0.0],
        "unfamiliarity": row.unfamiliarity,
        "model_sha256": row.model_sha256,
        "preprocessing_sha256": judge and judge.preprocessing_sha256,
        "worker": judge and judge.worker,
        "device": judge and judge.device,
        "network": judge and judge.network,
        "attempts": row.attempts,
        "cached": row.cached_from is not None,
        "cached_from": row.cached_from,
        "timings": {"queue_ms": row.queue_ms, "decode_ms": row.decode_ms, "infer_ms": row.infer_ms},
        "metadata": row.metadata or {},
        "error": {"code": row.error_code, "detail": row.error_detail or ""} if row.error_code else None,
        "review": review,
        "created_at": rfc3339(row.created_at),
        "finished_at": rfc3339(row.finished_at),
    }
