"""The only place where the JSON keys of the contract are spelled: rows in, plain dictionaries out."""

import re
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from shared.clock import now, rfc3339
from shared.contract.states import FINISHED_BATCH, BatchStatus, ItemStatus, Lane, Outcome, Verdict
from shared.errors import ItemErrorCode
from shared.ids import item_id

Time = Annotated[str | None, "RFC 3339, UTC", {"format": "date-time"}]


class BatchCounts(TypedDict):
    """Always total = queued + processing + succeeded + failed + cancelled + expired."""

    total: int
    queued: int
    processing: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int


class VerdictCounts(TypedDict):
    defect: int
    no_defect: int
    review: int


class ModelRef(TypedDict):
    id: str
    name: str
    sha256: str


class OperatingPointPayload(TypedDict):
    threshold: Annotated[float, "a score from here on is a defect"]
    review_band: Annotated[list[float], "lowest and highest score that a person must look at"]


class Eta(TypedDict):
    finish_at: Time
    items_per_second: Annotated[float, "the batch's mean so far"]


class BatchPayload(TypedDict):
    """One submission: the unit of completion and of webhooks."""

    id: str
    object: Literal["batch"]
    status: Annotated[str, BatchStatus]
    outcome: Annotated[str | None, Outcome, "how it ended; null while it runs"]
    model: ModelRef | None
    operating_point: OperatingPointPayload
    counts: BatchCounts
    verdicts: VerdictCounts
    progress: Annotated[float, "share of items that have ended, 0 to 1"]
    eta: Eta | None
    priority: Annotated[str, Lane]
    metadata: Annotated[dict[str, Any], "what the client sent along"]
    created_at: Time
    started_at: Time
    finished_at: Time
    deadline_at: Time
    retain_until: Time
    links: dict[str, str]
    webhook_secret: NotRequired[Annotated[str, "in the answer to its submission only, where we made it"]]


class Timings(TypedDict):
    queue_ms: float | None
    decode_ms: float | None
    infer_ms: float | None


class ItemErrorPayload(TypedDict):
    """Why an item has no verdict; each code is explained in /docs/errors."""

    code: Annotated[str, ItemErrorCode]
    detail: str


class ItemPayload(TypedDict):
    """One place in a batch."""

    id: str
    object: Literal["item"]
    batch_id: str
    custom_id: str | None
    filename: str
    sha256: str | None
    status: Annotated[str, ItemStatus]
    verdict: Annotated[str | None, Verdict]
    score: Annotated[float | None, "calibrated probability of a defect, 0 to 1"]
    threshold: Annotated[float | None, "the one that this verdict used"]
    model_sha256: str | None
    attempts: int
    cached: bool
    timings: Timings
    metadata: dict[str, Any]
    error: ItemErrorPayload | None
    review: dict[str, Any] | None
    created_at: Time
    finished_at: Time


class EventPayload(TypedDict):
    """The body of a webhook, as Standard Webhooks lays it out."""

    type: str
    timestamp: Time
    data: BatchPayload


class ModelPayload(TypedDict):
    id: str
    object: Literal["model"]
    name: str
    sha256: str
    active: bool
    operating_point: OperatingPointPayload
    input: dict[str, Any]
    metrics: dict[str, Any]
    created_at: Time
    links: dict[str, str]


class WorkerPayload(TypedDict):
    id: str
    object: Literal["worker"]
    host: str
    pid: int
    lanes: list[str]
    device: str
    engine: str
    threads: int
    models: list[str]
    items: int
    items_per_second: float | None
    started_at: Time
    last_seen_at: Time
    last_progress_at: Time


class ApiKeyPayload(TypedDict):
    id: str
    object: Literal["api_key"]
    tenant: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: Time
    last_used_at: Time
    expires_at: Time
    secret: NotRequired[Annotated[str, "only in the answer that made the key"]]


class ListPayload(TypedDict):
    object: Literal["list"]
    data: list[Any]
    has_more: bool
    next_cursor: str | None


class PredictionPayload(TypedDict):
    filename: str
    prediction: Annotated[str, Verdict]
    probability: Annotated[float, "of a defect"]
    confidence: Annotated[float, "in the prediction"]
    item: ItemPayload


class ErrorEntry(TypedDict, total=False):
    code: str
    detail: str
    pointer: str
    filename: str
    line: int


class Problem(TypedDict):
    """RFC 9457. `code` is stable and explained where `type` points."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: NotRequired[Annotated[list[ErrorEntry], "one entry for each bad part"]]


class SessionPayload(TypedDict):
    object: Literal["session"]
    tenant: str
    scopes: list[str]


class LivenessPayload(TypedDict):
    status: Literal["ok"]


class ReadinessPayload(TypedDict):
    status: Literal["ready", "not_ready"]
    checks: Annotated[dict[str, str], "`ok`, or what is wrong, for each part"]


def batch(row: Any, *, model: ModelRef | None = None, base: str = "") -> BatchPayload:
    """A batch from its row; `model` and `base` (the service's URL, for links) are known to the web only."""
    done = row.total - row.queued - row.processing
    return {
        "id": row.id,
        "object": "batch",
        "status": row.status,
        "outcome": row.outcome,
        "model": model,
        "operating_point": {"threshold": row.threshold, "review_band": [row.review_low, row.review_high]},
        "counts": {
            "total": row.total,
            "queued": row.queued,
            "processing": row.processing,
            "succeeded": row.succeeded,
            "failed": row.failed,
            "cancelled": row.cancelled,
            "expired": row.expired,
        },
        "verdicts": {"defect": row.defect, "no_defect": row.no_defect, "review": row.review},
        "progress": round(done / row.total, 4) if row.total else 0.0,
        "eta": _eta(row, done),
        "priority": row.lane,
        "metadata": row.metadata,
        "created_at": rfc3339(row.created_at),
        "started_at": rfc3339(row.started_at),
        "finished_at": rfc3339(row.finished_at),
        "deadline_at": rfc3339(row.deadline_at),
        "retain_until": rfc3339(row.retain_until),
        "links": _batch_links(row.id, base),
    }


def _batch_links(batch_id: str, base: str) -> dict[str, str]:
    this = f"{base}/v1/batches/{batch_id}"
    return {
        "self": this,
        "items": f"{this}/items",
        "results": f"{this}/results",
        "cancel": f"{this}/cancel",
        "page": f"{base}/batches/{batch_id}",
    }


def _eta(row: Any, done: int) -> Eta | None:
    """When the batch will have ended, at its own mean speed so far."""
    if row.started_at is None or not done:
        return None
    ended = row.status in FINISHED_BATCH
    elapsed = max((row.finished_at if ended else now()) - row.started_at, 0.001)
    speed = done / elapsed
    finish = None if ended else rfc3339(now() + (row.queued + row.processing) / speed)
    return {"finish_at": finish, "items_per_second": round(speed, 1)}


def item(row: Any) -> ItemPayload:
    """An item from its row."""
    return {
        "id": item_id(row.batch_id, row.seq),
        "object": "item",
        "batch_id": row.batch_id,
        "custom_id": row.custom_id,
        "filename": row.filename,
        "sha256": row.sha256,
        "status": row.status,
        "verdict": row.verdict,
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


def prediction(row: Any) -> PredictionPayload:
    """The answer of the original `/predict`: probability of a defect, and confidence in the prediction."""
    probability = float(row.score)
    return {
        "filename": row.filename,
        "prediction": row.verdict,
        "probability": probability,
        "confidence": max(probability, 1 - probability),
        "item": item(row),
    }


def event(kind: str, data: BatchPayload, at: float) -> EventPayload:
    """The body of a webhook, as Standard Webhooks lays it out."""
    return {"type": kind, "timestamp": rfc3339(at), "data": data}


def model(row: Any, *, active: bool, base: str = "") -> ModelPayload:
    """A model version from its row."""
    return {
        "id": row.id,
        "object": "model",
        "name": row.name,
        "sha256": row.sha256,
        "active": active,
        "operating_point": {"threshold": row.threshold, "review_band": [row.review_low, row.review_high]},
        "input": row.card.get("preprocessing", {}),
        "metrics": row.card.get("metrics", {}),
        "created_at": rfc3339(row.created_at),
        "links": {
            "card": f"{base}/v1/models/{row.id}/card",
            "activate": f"{base}/v1/models/{row.id}/activate",
        },
    }


def worker(row: Any) -> WorkerPayload:
    """A live worker from its row."""
    return {
        "id": row.id,
        "object": "worker",
        "host": row.host,
        "pid": row.pid,
        "lanes": row.lanes,
        "device": row.device,
        "engine": row.engine,
        "threads": row.threads,
        "models": row.models,
        "items": row.items,
        "items_per_second": row.items_per_s,
        "started_at": rfc3339(row.started_at),
        "last_seen_at": rfc3339(row.last_seen_at),
        "last_progress_at": rfc3339(row.last_progress_at),
    }


def api_key(row: Any, secret: str | None = None) -> ApiKeyPayload:
    """A key from its row; the secret is shown once, when it is made."""
    payload: ApiKeyPayload = {
        "id": row.id,
        "object": "api_key",
        "tenant": row.tenant,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "created_at": rfc3339(row.created_at),
        "last_used_at": rfc3339(row.last_used_at),
        "expires_at": rfc3339(row.expires_at),
    }
    if secret is not None:
        payload["secret"] = secret
    return payload


def page(data: list[Any], next_cursor: str | None) -> ListPayload:
    """One page of a list."""
    return {"object": "list", "data": data, "has_more": next_cursor is not None, "next_cursor": next_cursor}


_NEEDS_QUOTES = re.compile(r'[",\r\n]')
CSV_COLUMNS = (
    "id", "filename", "custom_id", "status", "verdict", "score", "threshold", "model_sha256", "attempts",
    "error_code", "error_detail", "sha256", "created_at", "finished_at",
)  # fmt: skip


def csv_line(row: Any) -> str:
    """An item as a line of RFC 4180 with the CSV_COLUMNS.

    Spelled here and not by `csv`, which looks at every character of every cell: only the names that a client chose
    can need quotes.
    """
    score, threshold = ("" if value is None else value for value in (row.score, row.threshold))
    return (
        f"{item_id(row.batch_id, row.seq)},{_cell(row.filename)},{_cell(row.custom_id)},{row.status},"
        f"{row.verdict or ''},{score},{threshold},{row.model_sha256 or ''},{row.attempts},{row.error_code or ''},"
        f"{_cell(row.error_detail)},{row.sha256 or ''},{rfc3339(row.created_at)},{rfc3339(row.finished_at) or ''}\r\n"
    )


def _cell(text: str | None) -> str:
    """A text that a client chose, harmless for spreadsheets, which take some first characters for a formula's."""
    if not text:
        return ""
    harmless = "'" + text if text[0] in "=+-@\t\r" else text
    return '"' + harmless.replace('"', '""') + '"' if _NEEDS_QUOTES.search(harmless) else harmless
