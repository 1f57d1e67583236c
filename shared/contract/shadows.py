"""A shadow, as the API shows it, and the comparison of a candidate with the model version in use."""

from typing import Annotated, Literal, NotRequired, get_args

from annotated_types import MaxLen, MinLen
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, OneOf, Share, Time, closed
from shared.contract.rates import RatePayload
from shared.contract.rescoring import VerdictChange
from shared.store.shadow_records import ShadowRecord

Advice = Literal["candidate", "model", "no_difference", "undecided", "not_enough_images"]
_Model = Annotated[str, MinLen(1), MaxLen(200)]


@closed
class ShadowRequest(TypedDict):
    """A candidate that shall also score a share of the images."""

    candidate: Annotated[_Model, About("a model version's id or name; it must be ready")]
    model: NotRequired[
        Annotated[
            _Model, About("the version whose images it scores, by id or name; the active one where absent")
        ]
    ]
    share: Annotated[Share, About("share of the images that it scores", examples=[0.1])]


class ShadowPayload(TypedDict):
    """A candidate that also scores a share of the images that a model version judges. Its scores are no verdicts."""

    id: str
    object: Literal["shadow"]
    model_id: Annotated[str, About("the version that judges")]
    candidate_id: Annotated[str, About("the version that also scores")]
    share: Share
    status: Annotated[str, OneOf(("running", "stopped"))]
    started_at: Time
    started_by: Annotated[str | None, About("the API key")]
    stopped_at: Annotated[Time | None, About("its scores stay until their batches are deleted")]
    stopped_by: str | None


class ShadowReviews(TypedDict):
    """Images with a person's verdict on which neither version asked for review: the person is right."""

    images: int
    both_right: int
    both_wrong: int
    only_model_right: int
    only_candidate_right: int


class ShadowRecommendation(TypedDict):
    """What the figures say."""

    advice: Annotated[str, OneOf(get_args(Advice))]
    text: str
    candidate_right: Annotated[
        RatePayload, About("share of the reviewed images with one right version on which it is the candidate")
    ]


class ShadowReport(ShadowPayload):
    """A shadow with its diff. The candidate's verdicts are those at its own operating point."""

    images: Annotated[int, About("images that the candidate has scored")]
    agree: Annotated[int, About("those of them with the same verdict")]
    to_defect: Annotated[int, About("those that only the candidate calls a defect")]
    to_no_defect: Annotated[int, About("those that only the candidate lets pass")]
    changes: Annotated[list[VerdictChange], About("the verdicts that differ")]
    flip_rate: Annotated[RatePayload, About("share of the images whose verdict differs, with exact limits")]
    reviewed: ShadowReviews
    recommendation: ShadowRecommendation


def shadow_payload(row: ShadowRecord) -> ShadowPayload:
    """The public object."""
    return {
        "id": row.id,
        "object": "shadow",
        "model_id": row.model_id,
        "candidate_id": row.candidate_id,
        "share": row.share,
        "status": "running" if row.stopped_at is None else "stopped",
        "started_at": rfc3339(row.started_at),
        "started_by": row.started_by,
        "stopped_at": rfc3339(row.stopped_at),
        "stopped_by": row.stopped_by,
    }
