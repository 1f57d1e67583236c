"""A part as the contract shows it: all views of one `part_id` in a batch, and the verdict that they give."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, OneOf, Time
from shared.contract.reviews import PERSONS_VERDICTS
from shared.contract.states import ItemStatus, PartReason, Verdict
from shared.ids import item_id
from shared.store.records import BatchRecord, PartRecord

SHOWN_VIEWS = 100
PART_STATUS = ("open", "completed")


class View(NamedTuple):
    """The columns of an item that its part shows."""

    batch_id: str
    part_id: str
    seq: int
    view: str | None
    filename: str
    status: str
    verdict: str | None
    score: float | None
    review_verdict: str | None


class Labels(NamedTuple):
    """The columns of a batch that its parts show."""

    lot: str | None
    order: str | None
    line: str | None
    station: str | None
    operator: str | None


class PartView(TypedDict):
    """An item of a part, in short."""

    item_id: str
    view: str | None
    filename: str
    status: Annotated[str, OneOf(ItemStatus)]
    verdict: Annotated[str, OneOf(Verdict)] | None
    score: float | None
    review_verdict: Annotated[
        Annotated[str, OneOf(PERSONS_VERDICTS)] | None,
        About("a person's verdict, which counts for the part in place of `verdict`"),
    ]


class PartPayload(TypedDict):
    """A part: its views in one batch, and their common verdict once none of them is open."""

    object: Literal["part"]
    batch_id: str
    part_id: str
    status: Annotated[str, OneOf(PART_STATUS)]
    verdict: Annotated[
        Annotated[str, OneOf(Verdict)] | None, About("by the batch's `part_rule`; null while a view is open")
    ]
    reasons: Annotated[list[Annotated[str, OneOf(PartReason)]], About("why a person should look")]
    total: Annotated[int, About("how many views it has")]
    views: Annotated[list[PartView], About("the first 100 of them, as submitted")]
    missing_views: Annotated[list[str], About("expected views that did not come")]
    lot: str | None
    order: str | None
    line: str | None
    station: str | None
    operator: str | None
    created_at: Time
    finished_at: Time


def labels_of(batch: BatchRecord) -> Labels:
    """The labels that the parts of a batch show."""
    return Labels(batch.lot, batch.order, batch.line, batch.station, batch.operator)


def part_payload(row: PartRecord, labels: Labels, views: Sequence[View]) -> PartPayload:
    """A part from its row, the labels of its batch, and its items."""
    return {
        "object": "part",
        "batch_id": row.batch_id,
        "part_id": row.part_id,
        "status": "open" if row.finished_at is None else "completed",
        "verdict": row.verdict,
        "reasons": row.reasons.split(",") if row.reasons else [],
        "total": row.total,
        "views": [_view(view) for view in views[:SHOWN_VIEWS]],
        "missing_views": row.missing_views or [],
        "lot": labels.lot,
        "order": labels.order,
        "line": labels.line,
        "station": labels.station,
        "operator": labels.operator,
        "created_at": rfc3339(row.created_at),
        "finished_at": rfc3339(row.finished_at),
    }


def _view(row: View) -> PartView:
    return {
        "item_id": item_id(row.batch_id, row.seq),
        "view": row.view,
        "filename": row.filename,
        "status": row.status,
        "verdict": row.verdict,
        "score": row.score,
        "review_verdict": row.review_verdict,
    }
