"""A rescoring: a batch that has ended is judged by another operating point, from its stored scores."""

from collections.abc import Iterable
from typing import Annotated, Literal, cast

from annotated_types import Ge, Len
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import WHOLE, About, OneOf, Rule, Share, Time, closed
from shared.contract.operating_point import OperatingPointPayload
from shared.contract.states import Verdict
from shared.store.documents import VerdictCount
from shared.store.rescoring_records import RescoringRecord


def _band_is_ordered(band: list[float]) -> str | None:
    return None if band[0] <= band[1] else "the lower end comes first"


@closed
class RescoreRequest(TypedDict, total=False):
    """A part that is absent stays as the batch has it, and low <= threshold <= high."""

    threshold: Annotated[Share, About("a score from here on is a defect", examples=[0.62])]
    review_band: Annotated[
        list[Share],
        Len(2, 2),
        Rule(_band_is_ordered),
        About("lowest and highest score that a person must look at", examples=[[0.55, 0.7]]),
    ]
    dry_run: Annotated[bool, About("true: tell what would change, and change nothing", default=False)]
    expected_revision: Annotated[
        Annotated[int, Ge(0), WHOLE] | None,
        About(
            "the batch's `revision` as you read it: 409 `overtaken` where another rescoring has come since"
        ),
    ]


class VerdictChange(TypedDict):
    """So many items, or parts, that get another verdict."""

    before: Annotated[str, OneOf(Verdict)]
    after: Annotated[str, OneOf(Verdict)]
    count: int


class PartFlip(TypedDict):
    """A part that gets another verdict."""

    part_id: str
    before: Annotated[str, OneOf(Verdict)]
    after: Annotated[str, OneOf(Verdict)]


class RescoringPayload(TypedDict):
    """A change of a batch's operating point. The verdicts of items and parts follow their scores."""

    object: Literal["rescoring"]
    batch_id: str
    revision: Annotated[int, About("how often the batch has been rescored with this one; 0: never")]
    operating_point: OperatingPointPayload
    previous_operating_point: OperatingPointPayload
    items: Annotated[list[VerdictChange], About("the items that get another verdict")]
    parts: Annotated[list[VerdictChange], About("the parts that get another verdict")]
    key_id: Annotated[str | None, About("the API key that asked for it")]
    created_at: Time


class RescoreAnswer(RescoringPayload):
    """The changes that a rescoring makes, or would make."""

    dry_run: bool
    flipped_parts: Annotated[list[PartFlip], About("the first hundred of these parts, by their ids")]


def rescoring_payload(row: RescoringRecord) -> RescoringPayload:
    """A rescoring from its row."""
    return {
        "object": "rescoring",
        "batch_id": row.batch_id,
        "revision": row.revision,
        "operating_point": {
            "threshold": row.threshold,
            "review_band": [row.review_low, row.review_high],
        },
        "previous_operating_point": {
            "threshold": row.old_threshold,
            "review_band": [row.old_low, row.old_high],
        },
        "items": changes(row.items),
        "parts": changes(row.parts),
        "key_id": row.key_id,
        "created_at": rfc3339(row.at),
    }


def changes(rows: Iterable[VerdictCount]) -> list[VerdictChange]:
    """Changes from rows of verdict before, verdict after and how many."""
    return [
        cast(VerdictChange, {"before": before, "after": after, "count": number})
        for before, after, number in rows
    ]
