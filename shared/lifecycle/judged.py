"""Verdicts as SQL: the verdict that a score gets at an operating point, and an item's columns as its batch judges them.

The same rule as `shared.vision.decision`, for a million rows in one statement (a test compares both).
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Label, and_, bindparam, case, func, literal, null, or_

from shared.contract.states import UNLIKE, Reason, Verdict
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Item

_POINT = ("threshold", "review_low", "review_high")
_LOW: ColumnElement[Any] = bindparam("new_low")
_HIGH: ColumnElement[Any] = bindparam("new_high")
_THRESHOLD: ColumnElement[Any] = bindparam("new_threshold")
_IN_BAND = and_(_LOW < _HIGH, Item.score.between(_LOW, _HIGH))
_IS_UNLIKE = or_(*(Item.reasons.contains(reason.value) for reason in UNLIKE))
_TAIL = f",{Reason.LOW_CONFIDENCE}"
# The guard's reasons stay: they come from the image, whatever the operating point is.
_GUARDS = case(
    (Item.reasons == Reason.LOW_CONFIDENCE.value, null()), else_=func.replace(Item.reasons, _TAIL, "")
)

# At the point of the parameters new_threshold, new_low and new_high; NULL for an item without a score.
VERDICT: ColumnElement[Any] = case(
    (Item.score.is_(None), null()),
    (or_(_IS_UNLIKE, _IN_BAND), Verdict.REVIEW.value),
    (Item.score >= _THRESHOLD, Verdict.DEFECT.value),
    else_=Verdict.NO_DEFECT.value,
)
REASONS: ColumnElement[Any] = case(
    (_IN_BAND, func.coalesce(_GUARDS.concat(","), "").concat(Reason.LOW_CONFIDENCE.value)), else_=_GUARDS
)


class Point(NamedTuple):
    """An operating point whose parts are columns or values."""

    threshold: object
    review_low: object
    review_high: object


_OF_BATCH = Point(Batch.threshold, Batch.review_low, Batch.review_high)


def columns(batch: BatchRecord | None = None) -> list[ColumnElement[Any] | Label[Any]]:
    """The columns of ItemRecord, with the operating point of the batch in place of the one at the first judgement.

    A rescoring writes the changed verdicts alone: the other rows of a million stay as they are, and keep the point
    that they had at first. Without a batch, the statement must join `batches`.
    """
    if batch is not None and not batch.revision:
        return list(Item.__table__.columns)
    point = _OF_BATCH
    if batch is not None:
        point = Point(*(literal(getattr(batch, name)) for name in _POINT))
    made: list[ColumnElement[Any] | Label[Any]] = []
    for column in Item.__table__.columns:
        shown: ColumnElement[Any] = column
        if column.name in _POINT:
            now = getattr(point, column.name)
            shown = case((column.is_(None), null()), else_=now).label(column.name)
        elif column.name == "kind":
            # A guess of the kind belongs to a defect, and comes back with it.
            shown = case((Item.verdict == Verdict.NO_DEFECT, null()), else_=column).label(column.name)
        made.append(shown)
    return made
