"""The verdicts of parts follow those of their views when a batch is rescored.

The rule of `parts.Views` as SQL, for half a million parts in one statement (the walks compare both).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    update,
)

from shared.contract.states import PartReason, PartRule, Verdict
from shared.lifecycle.judged import VERDICT
from shared.lifecycle.parts import RECOUNT, REVIEWED
from shared.store.documents import VerdictCount
from shared.store.records import BatchRecord
from shared.store.tables import Item, Part, ReviewEntry

SHOWN_FLIPS = 100
_TOUCHED = select(Item.part_id).where(
    Item.batch_id == bindparam("in_batch"),
    Item.score.between(bindparam("from_score"), bindparam("to_score")),
    Item.part_id.is_not(None),
)


class Flip(NamedTuple):
    """A part whose verdict changes."""

    part_id: str
    before: str
    after: str


def _views(verdict: object) -> CTE:
    """The parts with a view that may change, and how many of their views have each verdict."""
    final = func.coalesce(ReviewEntry.verdict, verdict)  # a person's goes before the model's
    of = {each: func.sum(case((final == each, 1), else_=0)) for each in Verdict}
    return (
        select(Item.part_id, func.count().label("total"), *(of[each].label(each) for each in Verdict))
        .outerjoin(ReviewEntry, REVIEWED)
        .where(Item.batch_id == bindparam("in_batch"), Item.part_id.in_(_TOUCHED))
        .group_by(Item.part_id)
        .cte("views")
    )


def _verdict(views: CTE, rule: str) -> ColumnElement[Any]:
    strong, weak = Verdict.DEFECT, Verdict.NO_DEFECT
    if rule == PartRule.ALL_DEFECT:
        strong, weak = weak, strong
    return case(
        (Part.missing_views.is_not(None), Verdict.REVIEW.value),
        (views.c[strong] > 0, strong.value),
        (views.c[weak] == views.c.total, weak.value),
        else_=Verdict.REVIEW.value,
    )


def _reasons(views: CTE, verdict: ColumnElement[Any]) -> ColumnElement[Any]:
    lost = views.c.total > views.c.defect + views.c.no_defect + views.c.review
    holding = {
        PartReason.MISSING_VIEW: Part.missing_views.is_not(None),
        PartReason.VIEW_WITHOUT_VERDICT: lost,
        PartReason.VIEW_IN_REVIEW: views.c.review > 0,
    }
    joined: ColumnElement[Any] = case(
        (holding[PartReason.MISSING_VIEW], f"{PartReason.MISSING_VIEW},"), else_=""
    )
    for reason in (PartReason.VIEW_WITHOUT_VERDICT, PartReason.VIEW_IN_REVIEW):
        joined = joined.concat(case((holding[reason], f"{reason},"), else_=""))
    found = func.nullif(func.rtrim(joined, ","), "")
    return case((verdict == Verdict.REVIEW, found), else_=null())


def _flipping(rule: str) -> CTE:
    views = _views(VERDICT)
    after = _verdict(views, rule)
    of_batch = and_(Part.batch_id == bindparam("in_batch"), Part.part_id == views.c.part_id)
    flips = select(Part.part_id, Part.verdict.label("before"), after.label("after")).join_from(
        Part, views, of_batch
    )
    return flips.where(after.is_distinct_from(Part.verdict)).cte("flips")


def _counting(rule: str) -> Select[Any]:
    flips = _flipping(rule)
    return select(flips.c.before, flips.c.after, func.count()).group_by(flips.c.before, flips.c.after)


def _naming(rule: str) -> Select[Any]:
    flips = _flipping(rule)
    return select(flips).order_by(flips.c.part_id).limit(SHOWN_FLIPS)


def _writing(rule: str) -> Update:
    # The items have their new verdicts by now.
    views = _views(Item.verdict)
    after = _verdict(views, rule)
    reasons = _reasons(views, after)
    return (
        update(Part)
        .where(
            Part.batch_id == bindparam("in_batch"),
            Part.part_id == views.c.part_id,
            or_(after.is_distinct_from(Part.verdict), reasons.is_distinct_from(Part.reasons)),
        )
        .values(verdict=after, reasons=reasons)
    )


# Built once for each rule: to build one takes longer than to run it on a small batch.
_COUNT = {rule.value: _counting(rule) for rule in PartRule}
_NAME = {rule.value: _naming(rule) for rule in PartRule}
_WRITE = {rule.value: _writing(rule) for rule in PartRule}


def count(
    connection: Connection, batch: BatchRecord, given: Mapping[str, object]
) -> tuple[list[VerdictCount], tuple[Flip, ...]]:
    """How many parts would get another verdict, as [before, after, how many], and the first hundred of them."""
    counted = sorted((row[0], row[1], row[2]) for row in connection.execute(_COUNT[batch.part_rule], given))
    if not counted:
        return [], ()
    return counted, tuple(Flip._make(row) for row in connection.execute(_NAME[batch.part_rule], given))


def write(connection: Connection, batch: BatchRecord, given: Mapping[str, object]) -> None:
    """Give the parts the verdicts of their views as they stand now. The caller holds the lock of the batch's row."""
    connection.execute(_WRITE[batch.part_rule], given)
    connection.execute(RECOUNT, {"in_batch": batch.id})
