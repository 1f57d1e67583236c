"""Reviews: persons' verdicts on items, next to the model's, and the queue of items that persons look at."""

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired

from annotated_types import Len, MaxLen, MinLen
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import NO_CONTROL, About, OneOf, Time, closed
from shared.contract.states import Verdict
from shared.ids import item_id
from shared.store.review_records import EntryRecord, OpinionRecord

BAND, GUARD, PASSED, REFUSED, CHOSEN = "band", "guard", "audit_passed", "audit_refused", "chosen"
QUEUED_SOURCES = (BAND, GUARD, PASSED, REFUSED)
SOURCES = (*QUEUED_SOURCES, CHOSEN)
WAITING, DONE = "waiting", "done"
ENTRY_STATUS = (WAITING, DONE)
PERSONS_VERDICTS = (Verdict.DEFECT, Verdict.NO_DEFECT)
MAX_NOTE = 2000
LONGEST_LEASE_S = 86_400.0
_Source = Annotated[
    str,
    OneOf(SOURCES),
    About(
        "why the item is here: its score is in the review band, the guard flagged it, the audit sampled it among those "
        "that passed or were refused, or a person chose it"
    ),
]
_PersonsVerdict = Annotated[str, OneOf(PERSONS_VERDICTS)]


@closed
class ReviewRequest(TypedDict):
    """A person's verdict on an item."""

    verdict: Annotated[_PersonsVerdict, About(examples=["defect"])]
    note: NotRequired[
        Annotated[
            str | None,
            MaxLen(MAX_NOTE),
            About("why, for whoever reads it later", examples=["scratch at the rim"]),
        ]
    ]
    claim: NotRequired[
        Annotated[
            str | None,
            MaxLen(80),
            NO_CONTROL,
            About("the `claim` of POST /v1/reviews/next, where it gave this item"),
        ]
    ]


@closed
class ClaimRequest(TypedDict, total=False):
    """Which items of the queue to look at; all of the tenant's where a member is absent."""

    batch_id: Annotated[str | None, MaxLen(40), NO_CONTROL, About("of this batch alone")]
    line: Annotated[str | None, MinLen(1), MaxLen(200), NO_CONTROL, About("of this production line alone")]
    source: Annotated[
        Annotated[list[Annotated[str, OneOf(QUEUED_SOURCES)]], Len(1, len(QUEUED_SOURCES))] | None,
        About("of these sources alone", examples=[["band", "guard"]]),
    ]


@closed
class SkipRequest(TypedDict, total=False):
    """Give an item back to the queue, behind the others."""

    claim: Annotated[
        str | None,
        MaxLen(80),
        NO_CONTROL,
        About("the `claim` of POST /v1/reviews/next, which an item needs that is held"),
    ]


class OpinionPayload(TypedDict):
    """A person's verdict on an item, as it was given."""

    verdict: _PersonsVerdict
    by: Annotated[str, About("the name of the API key with which the person worked")]
    key_id: str
    at: Time
    note: str | None
    undone_at: Annotated[Time, About("when it was taken back")]


class ReviewPayload(TypedDict):
    """The persons' verdict on an item: the final one, whatever the model says."""

    verdict: _PersonsVerdict
    by: Annotated[str, About("the name of the API key whose opinion decided")]
    at: Time
    note: str | None
    rounds: Annotated[
        list[OpinionPayload], About("every opinion, in their order, those that were taken back too")
    ]


class ReviewEntryPayload(TypedDict):
    """An item of the review queue. Opinions do not show before the last of them is given."""

    object: Literal["review_entry"]
    item_id: str
    batch_id: str
    line: str | None
    source: _Source
    status: Annotated[str, OneOf(ENTRY_STATUS)]
    rounds: Annotated[int, About("how many persons must give an opinion")]
    given: Annotated[int, About("how many have given one")]
    verdict: Annotated[_PersonsVerdict | None, About("the persons' verdict; null while the entry waits")]
    claimed_until: Annotated[Time, About("when the item returns to the queue, while a person has it")]
    reviewed_at: Time


def is_held(row: EntryRecord, now: float) -> bool:
    """Whether a person has the item. A lease beyond the longest was given under a clock that has jumped back since."""
    return row.lease_until is not None and now < row.lease_until <= now + LONGEST_LEASE_S


def entry_payload(row: EntryRecord, now: float) -> ReviewEntryPayload:
    """An entry of the queue from its row."""
    return {
        "object": "review_entry",
        "item_id": item_id(row.batch_id, row.seq),
        "batch_id": row.batch_id,
        "line": row.line,
        "source": row.source,
        "status": row.status,
        "rounds": row.rounds,
        "given": row.given,
        "verdict": row.verdict if row.status == DONE else None,
        "claimed_until": rfc3339(row.lease_until) if is_held(row, now) else None,
        "reviewed_at": rfc3339(row.reviewed_at) if row.status == DONE else None,
    }


def review_payload(opinions: Sequence[OpinionRecord]) -> ReviewPayload:
    """The review of an item whose last opinion is given, from all of its opinions in their order."""
    last = [each for each in opinions if each.undone_at is None][-1]
    return {
        "verdict": last.verdict,
        "by": last.name,
        "at": rfc3339(last.at),
        "note": last.note,
        "rounds": [_opinion(each) for each in opinions],
    }


def _opinion(row: OpinionRecord) -> OpinionPayload:
    return {
        "verdict": row.verdict,
        "by": row.name,
        "key_id": row.key_id,
        "at": rfc3339(row.at),
        "note": row.note,
        "undone_at": rfc3339(row.undone_at),
    }


def settled(verdicts: Sequence[str], rounds: int) -> str | None:
    """The verdict that opinions give, in their order, where `rounds` were asked for; None while one is missing.

    Where the first two of two differ, a third decides. An opinion after that replaces the verdict.
    """
    differ = rounds == 2 and len(verdicts) >= 2 and verdicts[0] != verdicts[1]
    return verdicts[-1] if len(verdicts) >= (3 if differ else rounds) else None
