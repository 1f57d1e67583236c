"""A batch as the contract shows it."""

from collections.abc import Iterable
from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from shared.clock import now, rfc3339
from shared.contract.doubts import doubts
from shared.contract.eta import NO_ETA, Eta, eta, no_eta
from shared.contract.fields import About, OneOf, Time
from shared.contract.marks import BatchWarning, Blocked
from shared.contract.operating_point import OperatingPointPayload
from shared.contract.states import BatchStatus, Lane, Outcome
from shared.json_text import JsonObject
from shared.store.records import BatchRecord


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


class PartCounts(TypedDict):
    """Parts in all, and those of each verdict; the others have an open view."""

    total: int
    defect: int
    no_defect: int
    review: int


class ModelRef(TypedDict):
    id: str
    name: str
    sha256: str


class DraftPayload(TypedDict):
    """The parts of a draft that have arrived."""

    part_numbers: Annotated[list[list[int]], About("ranges of their numbers, each as first and last")]
    expires_at: Annotated[Time, About("when it is deleted, unless a part comes or it is finalized")]
    options: Annotated[JsonObject, About("those it was made with, the secret of a webhook left out")]


class BatchPayload(TypedDict):
    """A submission: the unit of completion and of webhooks."""

    id: str
    object: Literal["batch"]
    status: Annotated[str, OneOf(BatchStatus)]
    outcome: Annotated[Annotated[str, OneOf(Outcome)] | None, About("how it ended; null while it runs")]
    model: ModelRef | None
    operating_point: OperatingPointPayload
    revision: Annotated[int, About("how often the batch has been rescored")]
    rerun_of: Annotated[str | None, About("the batch that was submitted with these images")]
    counts: BatchCounts
    verdicts: VerdictCounts
    parts: PartCounts
    skipped: Annotated[int, About("files of the archive that became no item, since they are no images")]
    warnings: Annotated[
        list[BatchWarning],
        About(
            "doubts about its verdicts, the webhook that was given up, the failed item that ended it, then the first "
            "100 skipped files"
        ),
    ]
    blocked: Annotated[Blocked | None, About("why no worker can serve it; null while one can")]
    progress: Annotated[float, About("share of items that have ended, 0 to 1")]
    eta: Annotated[
        Eta | None, About("null where `no_eta` says why, and for a batch that ended without a verdict")
    ]
    no_eta: Annotated[
        Annotated[str, OneOf(NO_ETA)] | None,
        About(
            "why a batch that runs has no ETA: it is a draft, waits for the first worker (since its submission, a "
            "pause or a retry), has no verdict since then, is paused, or is blocked"
        ),
    ]
    name: Annotated[str | None, About("what people call the batch")]
    lot: str | None
    order: str | None
    line: str | None
    station: str | None
    operator: str | None
    priority: Annotated[str, OneOf(Lane)]
    metadata: Annotated[JsonObject, About("what the client sent along")]
    created_at: Time
    started_at: Time
    finished_at: Time
    idle_s: Annotated[float, About("seconds since `started_at` in which it had ended, until a retry")]
    deadline_at: Time
    retain_until: Time
    links: dict[str, str]
    draft: NotRequired[Annotated[DraftPayload, About("of a draft only")]]
    webhook_secret: NotRequired[
        Annotated[str, About("in the answer to its submission only, where we made it")]
    ]


def batch_payload(
    row: BatchRecord, *, model: ModelRef | None = None, base: str = "", at: float | None = None
) -> BatchPayload:
    """A batch from its row. `base` is the service's URL, for links; `at` is when the row was so, by default now."""
    done = row.total - row.queued - row.processing
    return {
        "id": row.id,
        "object": "batch",
        "status": row.status,
        "outcome": row.outcome,
        "model": model,
        "operating_point": {"threshold": row.threshold, "review_band": [row.review_low, row.review_high]},
        "revision": row.revision,
        "rerun_of": row.rerun_of,
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
        "parts": {
            "total": row.parts,
            "defect": row.defect_parts,
            "no_defect": row.no_defect_parts,
            "review": row.review_parts,
        },
        "skipped": row.skipped,
        "warnings": [*doubts(row), *row.warnings],
        "blocked": row.blocked,
        "progress": round(done / row.total, 4) if row.total else 0.0,
        "eta": eta(row, now() if at is None else at),
        "no_eta": no_eta(row),
        "name": row.name,
        "lot": row.lot,
        "order": row.order,
        "line": row.line,
        "station": row.station,
        "operator": row.operator,
        "priority": row.lane,
        "metadata": row.metadata,
        "created_at": rfc3339(row.created_at),
        "started_at": rfc3339(row.started_at),
        "finished_at": rfc3339(row.finished_at),
        "idle_s": round(row.idle_s, 3),
        "deadline_at": rfc3339(row.deadline_at),
        "retain_until": rfc3339(row.retain_until),
        "links": _batch_links(row.id, base),
    }


def draft_payload(
    numbers: Iterable[int], expires_at: float | None, options: JsonObject | None
) -> DraftPayload:
    """A draft from the numbers of its parts, in rising order, and from its options."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return {"part_numbers": ranges, "expires_at": rfc3339(expires_at), "options": options or {}}


def _batch_links(batch_id: str, base: str) -> dict[str, str]:
    this = f"{base}/v1/batches/{batch_id}"
    return {
        "self": this,
        "items": f"{this}/items",
        "results": f"{this}/results",
        "events": f"{this}/events",
        "parts": f"{this}/parts",
        "cancel": f"{this}/cancel",
        "pause": f"{this}/pause",
        "resume": f"{this}/resume",
        "retry": f"{this}/retry",
        "rescore": f"{this}/rescore",
        "page": f"{base}/batches/{batch_id}",
    }
