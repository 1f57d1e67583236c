"""Verdicts as SQL: the verdict that a score gets at an operating point, and an item's columns as its batch judges them.

The same rule as `shared.vision.decision`, for a million rows in one statement (a test compares both). The columns
`verdict` and `reasons` of an item are those of its worker. A batch that was rescored has another operating point, and
its readers compute both from score, guard and point: to write a million rows takes ten seconds (docs/decisions/0022).
"""

from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    or_,
)

from shared.contract.operating_point import OperatingPoint
from shared.contract.states import UNLIKE, Reason, Verdict
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Item

_POINT = ("threshold", "review_low", "review_high")
_TAIL = f",{Reason.LOW_CONFIDENCE}"

Column: TypeAlias = ColumnElement[Any]
Untyped: TypeAlias = Any  # a table, the columns of a subquery, or a value for a column


def is_unlike(item: Untyped = Item) -> ColumnElement[bool]:
    """Whether the guard has found the image of an item unlike those of the model."""
    return or_(*(item.reasons.contains(reason.value) for reason in UNLIKE))


IS_UNLIKE = is_unlike()


class Point(NamedTuple):
    """An operating point whose parts are columns or values."""

    threshold: Untyped
    review_low: Untyped
    review_high: Untyped


def given(prefix: str) -> Point:
    """The point of the parameters PREFIX_threshold, PREFIX_low and PREFIX_high."""
    return Point(*(cast(bindparam(f"{prefix}_{name}"), Float) for name in ("threshold", "low", "high")))


def values(prefix: str, threshold: float, low: float, high: float) -> dict[str, float]:
    """The values of these parameters."""
    return {f"{prefix}_threshold": threshold, f"{prefix}_low": low, f"{prefix}_high": high}


def verdict_at(point: Point, item: Untyped = Item) -> Column:
    """The verdict of an item at a point; NULL without a score. `item` has the columns `score` and `reasons`."""
    return case(
        (item.score.is_(None), null()),
        (or_(in_band(point, item), is_unlike(item)), Verdict.REVIEW.value),
        (item.score >= point.threshold, Verdict.DEFECT.value),
        else_=Verdict.NO_DEFECT.value,
    )


def reasons_at(point: Point, item: Untyped = Item) -> Column:
    """The reasons of an item at a point. Those of the guard stay: they come from the image, whatever the point is."""
    guards = case(
        (item.reasons == Reason.LOW_CONFIDENCE.value, null()), else_=func.replace(item.reasons, _TAIL, "")
    )
    return case(
        (in_band(point, item), func.coalesce(guards.concat(","), "").concat(Reason.LOW_CONFIDENCE.value)),
        else_=guards,
    )


def in_band(point: Point, item: Untyped) -> ColumnElement[bool]:
    """Whether the score of an item, or of a part, lies in the review band."""
    return and_(point.review_low < point.review_high, item.score.between(point.review_low, point.review_high))


_OF_BATCH = Point(Batch.threshold, Batch.review_low, Batch.review_high)


def verdict_now(item: Untyped = Item) -> Column:
    """The verdict of an item as its batch judges it, in a statement that joins `batches`."""
    return case((Batch.revision == 0, item.verdict), else_=verdict_at(_OF_BATCH, item))


# The verdict of an item, in a statement that joins its batch.
NOW = verdict_now()


# The verdict of an item before a change of its batch's point and after it: see move().
_MOVED_FROM, _MOVED_TO = given("old"), given("new")
BEFORE: Column = case(
    (cast(bindparam("of_revision"), Integer) == 0, Item.verdict), else_=verdict_at(_MOVED_FROM)
)
AFTER = verdict_at(_MOVED_TO)


# Whether the verdict of an item is not that of its score, in a statement that joins its batch.
IS_OTHER = case((NOW.is_distinct_from(verdict_at(_OF_BATCH)), 1), else_=0)


def move(batch: BatchRecord, point: OperatingPoint) -> dict[str, object]:
    """The parameters of BEFORE and AFTER, for the items of `in_batch`."""
    return {
        "in_batch": batch.id,
        "of_revision": batch.revision,
        **values("old", batch.threshold, batch.review_low, batch.review_high),
        **values("new", point.threshold, point.review_low, point.review_high),
    }


def point_of(batch: BatchRecord) -> Point:
    """The operating point of a batch, for a statement that is built for this batch alone."""
    return Point(*(literal(getattr(batch, name)) for name in _POINT))


def verdict_in(batch: BatchRecord) -> Column:
    """The verdict of an item of this batch, in a statement that is built for it alone."""
    return verdict_at(point_of(batch)) if batch.revision else Item.__table__.c.verdict


def columns(batch: BatchRecord | None = None) -> list[Column]:
    """The columns of ItemRecord as the batch of the items judges them. Without a batch, the statement must join
    `batches`."""
    if batch is not None and not batch.revision:
        return list(Item.__table__.columns)
    point = _OF_BATCH if batch is None else point_of(batch)
    verdict, reasons = verdict_at(point), reasons_at(point)
    if batch is None:
        verdict = NOW
        reasons = case((Batch.revision == 0, Item.reasons), else_=reasons)
    made: list[Column] = []
    for column in Item.__table__.columns:
        shown: Column = column
        if column.name in _POINT:
            shown = case((column.is_(None), null()), else_=getattr(point, column.name))
        elif column.name == "verdict":
            shown = verdict
        elif column.name == "reasons":
            shown = reasons
        elif column.name == "kind":
            # A guess of the kind belongs to a defect, and comes back with it.
            shown = case((verdict == Verdict.NO_DEFECT, null()), else_=column)
        made.append(shown if shown is column else shown.label(column.name))
    return made
