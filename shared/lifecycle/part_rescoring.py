"""The verdicts of parts follow those of their views when a batch is rescored.

A part knows the score that decides it, so its verdict is computed as that of an image is (`judged_parts`), and nothing
is written. A part without such columns is judged by the verdicts of its views, the rule of `parts.Views` as SQL, and
written (the walks compare both).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    Connection,
    Integer,
    Select,
    String,
    Update,
    and_,
    bindparam,
    case,
    cast,
    func,
    null,
    or_,
    select,
    update,
)

from shared.contract.states import PartReason, PartRule, Verdict
from shared.lifecycle import judged, judged_parts
from shared.lifecycle.judged import Column, Untyped
from shared.lifecycle.parts import REVIEWED
from shared.store.documents import VerdictCount
from shared.store.records import BatchRecord
from shared.store.tables import Item, Part, ReviewEntry

SHOWN_FLIPS = 100


class Flip(NamedTuple):
    """A part whose verdict changes."""

    part_id: str
    before: str
    after: str


def _views() -> CTE:
    """The parts with a view that changes, and how many of their views have each verdict afterwards."""
    final = func.coalesce(ReviewEntry.verdict, judged.AFTER)  # a person's goes before the model's
    of = {each: func.sum(case((final == each, 1), else_=0)) for each in Verdict}
    changes = case((judged.AFTER.is_distinct_from(judged.BEFORE), 1), else_=0)
    return (
        select(Item.part_id, func.count().label("total"), *(of[each].label(each) for each in Verdict))
        .outerjoin(ReviewEntry, REVIEWED)
        .where(Item.batch_id == bindparam("in_batch"), Item.part_id.is_not(None))
        .group_by(Item.part_id)
        .having(func.max(changes) == 1)
        .cte("views")
    )


def _verdict(views: CTE, rule: str) -> Column:
    strong, weak = Verdict.DEFECT, Verdict.NO_DEFECT
    if rule == PartRule.ALL_DEFECT:
        strong, weak = weak, strong
    return case(
        (Part.missing_views.is_not(None), Verdict.REVIEW.value),
        (views.c[strong] > 0, strong.value),
        (views.c[weak] == views.c.total, weak.value),
        else_=Verdict.REVIEW.value,
    )


def _reasons(views: CTE, verdict: Column) -> Column:
    lost = views.c.total > views.c.defect + views.c.no_defect + views.c.review
    holding = {
        PartReason.MISSING_VIEW: Part.missing_views.is_not(None),
        PartReason.VIEW_WITHOUT_VERDICT: lost,
        PartReason.VIEW_IN_REVIEW: views.c.review > 0,
    }
    joined: Column = case((holding[PartReason.MISSING_VIEW], f"{PartReason.MISSING_VIEW},"), else_="")
    for reason in (PartReason.VIEW_WITHOUT_VERDICT, PartReason.VIEW_IN_REVIEW):
        joined = joined.concat(case((holding[reason], f"{reason},"), else_=""))
    found = func.nullif(func.rtrim(joined, ","), "")
    return case((verdict == Verdict.REVIEW, found), else_=null())


def _changing(rule: str) -> CTE:
    """The parts without a score whose verdict or reasons change: (part id, verdict before and after, reasons after)."""
    views = _views()
    after = _verdict(views, rule)
    reasons = _reasons(views, after)
    of_part = and_(Part.batch_id == bindparam("in_batch"), Part.part_id == views.c.part_id)
    rows = select(Part.part_id, Part.verdict.label("before"), after.label("after"), reasons.label("reasons"))
    rows = rows.join_from(Part, views, of_part).where(Part.held.is_(None))
    return rows.where(or_(after.is_distinct_from(Part.verdict), reasons.is_distinct_from(Part.reasons))).cte(
        "changing"
    )


def _changing_by_score() -> CTE:
    """The parts whose verdict changes by their score: (part id, verdict before and after)."""
    rule: Untyped = bindparam("by_rule", type_=String)
    old, after = (judged_parts.verdict_at(judged.given(name), rule) for name in ("old", "new"))
    before = case((cast(bindparam("of_revision"), Integer) == 0, Part.verdict), else_=old)
    rows = select(Part.part_id, before.label("before"), after.label("after"))
    changes = (Part.held.is_not(None), after.is_distinct_from(before))
    return rows.where(Part.batch_id == bindparam("in_batch"), *changes).cte("changing")


def _told(changing: CTE) -> Select[Any]:
    """The first parts of each change, by part id, and with each the number of all parts that change so."""
    alike = (changing.c.before, changing.c.after)
    rows = select(
        changing.c.part_id,
        *alike,
        func.count().over(partition_by=alike).label("number"),
        func.row_number().over(partition_by=alike, order_by=changing.c.part_id).label("place"),
    )
    found = rows.where(changing.c.before.is_distinct_from(changing.c.after)).subquery()
    return select(found.c.part_id, found.c.before, found.c.after, found.c.number).where(
        found.c.place <= SHOWN_FLIPS
    )


def _writing(changing: CTE) -> Update:
    of_part = (Part.batch_id == bindparam("in_batch"), Part.part_id == changing.c.part_id)
    return update(Part).where(*of_part).values(verdict=changing.c.after, reasons=changing.c.reasons)


def _written(rule: str) -> Select[Any]:
    """For PostgreSQL: the parts are looked at once, to be written and to be told."""
    changing = _changing(rule)
    written = _writing(changing).returning(Part.part_id).cte("written")
    return _told(changing).add_cte(written)


_TELL_BY_SCORE = _told(_changing_by_score())
_ANY_WITHOUT = (
    select(Part.part_id).where(Part.batch_id == bindparam("in_batch"), Part.held.is_(None)).limit(1)
)
# Built once for each rule: to build one takes longer than to run it on a small batch.
_TELL = {rule.value: _told(_changing(rule)) for rule in PartRule}
_WRITE = {rule.value: _writing(_changing(rule)) for rule in PartRule}
_WRITE_AND_TELL = {rule.value: _written(rule) for rule in PartRule}


def count(
    connection: Connection, batch: BatchRecord, given: Mapping[str, object]
) -> tuple[list[VerdictCount], tuple[Flip, ...]]:
    """How many parts would get another verdict, as [before, after, how many], and the first hundred of them."""
    asked = [_TELL_BY_SCORE]
    if _has_any_without(connection, given):
        asked.append(_TELL[batch.part_rule])
    return _read(connection, batch, given, asked)


def write(
    connection: Connection, batch: BatchRecord, given: Mapping[str, object]
) -> tuple[list[VerdictCount], tuple[Flip, ...]]:
    """Give the parts that have no score the verdicts of their views at the new point; returns as `count` does.

    The caller holds the lock of the batch's row, and has not given it the new point.
    """
    if not _has_any_without(connection, given):
        return _read(connection, batch, given, [_TELL_BY_SCORE])
    if connection.dialect.name == "postgresql":
        return _read(connection, batch, given, [_TELL_BY_SCORE, _WRITE_AND_TELL[batch.part_rule]])
    told = count(connection, batch, given)
    connection.execute(_WRITE[batch.part_rule], given)
    return told


def _has_any_without(connection: Connection, given: Mapping[str, object]) -> bool:
    return connection.execute(_ANY_WITHOUT, given).first() is not None


def _read(
    connection: Connection, batch: BatchRecord, given: Mapping[str, object], asked: Sequence[Select[Any]]
) -> tuple[list[VerdictCount], tuple[Flip, ...]]:
    counts, flips = Counter[tuple[str, str]](), list[Flip]()
    for statement in asked:
        found = dict[tuple[str, str], int]()
        for part_id, before, after, number in connection.execute(
            statement, {**given, "by_rule": batch.part_rule}
        ):
            found[before, after] = number
            flips.append(Flip(part_id, before, after))
        counts.update(found)
    changes = [(before, after, number) for (before, after), number in sorted(counts.items())]
    return changes, tuple(sorted(flips)[:SHOWN_FLIPS])
