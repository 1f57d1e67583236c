"""Verdicts of parts as SQL, as their batch judges them.

A part keeps the score of the view that decides it, and whether other views hold it back. So its verdict at another
operating point needs no look at its views. A part that has no such columns keeps its verdict in `verdict`: one that
ended before they were there, or that misses an expected view, whose reasons depend on each of its views.
"""

from sqlalchemy import and_, case, func, null

from shared.contract.states import PartReason, PartRule, Verdict
from shared.lifecycle.judged import Column, Point, Untyped, in_band
from shared.store.tables import Batch, Part

# In Part.held: a view is held in review by the guard, a view has no verdict, or both.
BY_GUARD, WITHOUT_VERDICT = 1, 2
# A person's verdict on a view as a score, beyond all scores of models.
PERSONS_SCORES = {Verdict.DEFECT: 2.0, Verdict.NO_DEFECT: -1.0}


def _of_score(point: Point) -> Column:
    """The verdict that the deciding view has at a point; NULL where no view is decided by a score or a person."""
    return case(
        (Part.score.is_(None), null()),
        (in_band(point, Part), Verdict.REVIEW.value),
        (Part.score >= point.threshold, Verdict.DEFECT.value),
        else_=Verdict.NO_DEFECT.value,
    )


def verdict_at(point: Point, rule: Untyped) -> Column:
    """The verdict of a part at a point, by the part rule of its batch."""
    found, all_defect = _of_score(point), rule == PartRule.ALL_DEFECT.value
    enough = case((all_defect, Verdict.NO_DEFECT.value), else_=Verdict.DEFECT.value)
    other = case((all_defect, Verdict.DEFECT.value), else_=Verdict.NO_DEFECT.value)
    return case(
        (Part.held.is_(None), Part.verdict),
        (found == enough, enough),
        (and_(found == other, Part.held == 0), other),
        else_=Verdict.REVIEW.value,
    )


def reasons_at(point: Point, rule: Untyped) -> Column:
    """The reasons of a part at a point, for one in review."""
    lost = Part.held.in_([WITHOUT_VERDICT, WITHOUT_VERDICT + BY_GUARD])
    waits = Part.held.in_([BY_GUARD, WITHOUT_VERDICT + BY_GUARD]) | (_of_score(point) == Verdict.REVIEW.value)
    joined = case((lost, f"{PartReason.VIEW_WITHOUT_VERDICT},"), else_="").concat(
        case((waits, f"{PartReason.VIEW_IN_REVIEW},"), else_="")
    )
    return case(
        (Part.held.is_(None), Part.reasons),
        (verdict_at(point, rule) == Verdict.REVIEW.value, func.nullif(func.rtrim(joined, ","), "")),
        else_=null(),
    )


_OF_BATCH = Point(Batch.threshold, Batch.review_low, Batch.review_high)
# The verdict of a part as its batch judges it, in a statement that joins `batches`.
NOW: Column = case((Batch.revision == 0, Part.verdict), else_=verdict_at(_OF_BATCH, Batch.part_rule))
_REASONS: Column = case((Batch.revision == 0, Part.reasons), else_=reasons_at(_OF_BATCH, Batch.part_rule))


def columns() -> list[Column]:
    """The columns of PartRecord as the batch judges the part, in a statement that joins `batches`."""
    shown = {"verdict": NOW.label("verdict"), "reasons": _REASONS.label("reasons")}
    return [shown.get(column.name, column) for column in Part.__table__.columns]
