"""The scores of an ended batch in bins, counted by the database and kept: a page then needs no look at the items.

The scores of a batch change with its runs alone, so the bins of a run are counted once. They know the model's verdicts,
not those of persons: a preview (`shared.lifecycle.rescoring.count`) knows both.
"""

from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from shared.contract.scores import BINS, NAMED_PARTS
from shared.contract.states import PartRule
from shared.lifecycle import judged
from shared.store.documents import Bins
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import Item, Part, ScoreBins

_KEPT = select(ScoreBins.bins).where(
    ScoreBins.batch_id == bindparam("in_batch"), ScoreBins.run == bindparam("of_run")
)
_IS_UNLIKE = case((judged.IS_UNLIKE, 1), else_=0)


def _bin(score: Any, dialect: str) -> Any:
    # A cast to a whole number cuts on SQLite and rounds on PostgreSQL.
    place = score * BINS
    whole = cast(place if dialect == "sqlite" else func.floor(place), Integer)
    return case((whole >= BINS, BINS - 1), else_=whole)


def _items(dialect: str) -> Select[Any]:
    rows = select(_bin(Item.score, dialect).label("bin"), _IS_UNLIKE.label("held")).where(
        Item.batch_id == bindparam("in_batch"), Item.score.is_not(None)
    )
    return _counted(rows.subquery())


def _parts(dialect: str, rule: str) -> Subquery:
    """The parts by the score of the view that decides, and whether another view keeps them from the other verdict."""
    extreme: Any = func.min if rule == PartRule.ALL_DEFECT else func.max
    is_judged = and_(Item.score.is_not(None), _IS_UNLIKE == 0)
    views = (
        select(
            Item.part_id,
            extreme(case((is_judged, Item.score))).label("score"),
            func.max(case((is_judged, 0), else_=1)).label("held"),
        )
        .where(Item.batch_id == bindparam("in_batch"), Item.part_id.is_not(None))
        .group_by(Item.part_id)
        .subquery()
    )
    of_part = and_(Part.batch_id == bindparam("in_batch"), Part.part_id == views.c.part_id)
    rows = select(views.c.part_id, _bin(views.c.score, dialect).label("bin"), views.c.held.label("held"))
    return rows.join_from(views, Part, of_part).where(Part.missing_views.is_(None)).subquery()


def _named(parts: Subquery) -> Select[Any]:
    """The first parts of each bin that the score decides."""
    place = func.row_number().over(partition_by=parts.c.bin, order_by=parts.c.part_id).label("place")
    rows = (
        select(parts.c.bin, parts.c.part_id, place)
        .where(parts.c.held == 0, parts.c.bin.is_not(None))
        .subquery()
    )
    some = select(rows.c.bin, rows.c.part_id).where(rows.c.place <= NAMED_PARTS)
    return some.order_by(rows.c.bin, rows.c.part_id)


def _counted(found: Subquery) -> Select[Any]:
    return select(found.c.bin, found.c.held, func.count()).group_by(found.c.bin, found.c.held)


_DIALECTS = ("sqlite", "postgresql")
_ITEMS = {dialect: _items(dialect) for dialect in _DIALECTS}
_OF_PARTS = {(dialect, rule.value): _parts(dialect, rule) for dialect in _DIALECTS for rule in PartRule}
_PARTS = {kind: _counted(parts) for kind, parts in _OF_PARTS.items()}
_NAMED = {kind: _named(parts) for kind, parts in _OF_PARTS.items()}


def kept(connection: Connection, batch: BatchRecord) -> Bins | None:
    """The bins of the batch's run, if they were counted before."""
    found: Bins | None = connection.scalar(_KEPT, {"in_batch": batch.id, "of_run": batch.run})
    return found


def of(database: Database, batch: BatchRecord) -> Bins:
    """The bins of an ended batch: `items` and `parts`, each as [bin, decided, held], and `review_parts`."""
    with database.read() as connection:
        found = kept(connection, batch)
        if found is not None:
            return found
        bins = _count(connection, batch)
    try:
        with database.write() as connection:
            connection.execute(insert(ScoreBins).values(batch_id=batch.id, run=batch.run, bins=bins))
    except IntegrityError:
        pass  # another request has kept the same bins meanwhile
    return bins


def _count(connection: Connection, batch: BatchRecord) -> Bins:
    dialect, given = connection.dialect.name, {"in_batch": batch.id}
    items = _rows(connection.execute(_ITEMS[dialect], given))
    if not batch.parts:
        return {"items": items, "parts": [], "review_parts": 0}
    parts = _rows(connection.execute(_PARTS[dialect, batch.part_rule], given))
    decided = [row for row in parts if row[0] >= 0]
    named: dict[str, list[str]] = {}
    for number, part_id in connection.execute(_NAMED[dialect, batch.part_rule], given):
        named.setdefault(str(number), []).append(part_id)
    return {
        "items": items,
        "parts": decided,
        "named_parts": named,
        "review_parts": batch.parts - sum(plain + held for _, plain, held in decided),
    }


def _rows(counted: Any) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for number, held, count in counted:
        found.setdefault(-1 if number is None else number, [0, 0])[held] += count
    return [[number, *found[number]] for number in sorted(found)]
