"""Parts: the items of a sealed batch that share a `part_id`, and the one verdict that their views give.

A part ends in the transaction that ends its last item. Locks are taken in the order chunk, items, batch, parts. Each
caller has changed the batch's row before, so it holds that row's lock: one transaction at a time looks at the parts of
a batch, and sees every item that ended before. So the last of several workers finds the part complete, and no other.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    null,
    select,
    update,
)

from shared.contract.events import PART_COMPLETED
from shared.contract.reviews import DONE
from shared.contract.states import ItemStatus, PartReason, PartRule, Verdict
from shared.lifecycle import judged, judged_parts
from shared.lifecycle.part_views import views_of
from shared.store.engine import clock
from shared.store.records import BatchRecord, PartRecord
from shared.store.tables import Batch, Item, Part, ReviewEntry
from shared.webhooks import owed, receivers

_ASKED_AT_ONCE = 1000  # a statement takes a bounded number of parameters
_OPEN = (ItemStatus.QUEUED, ItemStatus.PROCESSING)
_IN_ORDER = (Verdict.DEFECT, Verdict.NO_DEFECT, Verdict.REVIEW)
_MAKE = insert(Part).from_select(
    ["batch_id", "part_id", "tenant", "total", "created_at"],
    select(Item.batch_id, Item.part_id, Batch.tenant, func.count(), clock())
    .join(Batch, Batch.id == Item.batch_id)
    .where(Item.batch_id == bindparam("in_batch"), Item.part_id.is_not(None))
    .group_by(Item.batch_id, Item.part_id, Batch.tenant),
)
# Drivers do not agree on the number of rows of an INSERT … SELECT, so they are counted.
_COUNT = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        parts=select(func.count())
        .select_from(Part)
        .where(Part.batch_id == bindparam("in_batch"))
        .scalar_subquery()
    )
)
_BATCH = select(
    Batch.__table__,
    receivers.listening(Batch.tenant, PART_COMPLETED),
    exists().where(ReviewEntry.batch_id == Batch.id),
).where(Batch.id == bindparam("in_batch"), Batch.sealed.is_(True), Batch.parts > 0)
REVIEWED = and_(
    ReviewEntry.batch_id == Item.batch_id, ReviewEntry.seq == Item.seq, ReviewEntry.status == DONE
)


def views_by_part(*, reviewed: bool, rescored: bool) -> Select[Any]:
    """Parts of a batch none of whose items is open, by part id: (part id, views, defect, no_defect, review, lowest and
    highest score that decides a view, views that the guard holds).

    `reviewed`: a person's verdict on a view goes before the model's. Without, the statement reads no reviews.
    `rescored`: the verdicts are those at the batch's operating point. Without, the statement reads no batch.
    """
    models = judged.NOW if rescored else Item.verdict
    verdict = func.coalesce(ReviewEntry.verdict, models) if reviewed else models
    counts = (func.sum(case((verdict == each, 1), else_=0)) for each in _IN_ORDER)
    decided: list[Any] = [(judged.IS_UNLIKE, null())]
    is_held = judged.IS_UNLIKE
    if reviewed:
        persons = judged_parts.PERSONS_SCORES.items()
        decided = [*((ReviewEntry.verdict == each, score) for each, score in persons), *decided]
        is_held = and_(is_held, ReviewEntry.verdict.is_(None))
    score = case(*decided, else_=Item.score)
    held = func.sum(case((is_held, 1), else_=0))
    rows: Any = select(Item.part_id, func.count(), *counts, func.min(score), func.max(score), held)
    rows = rows.where(Item.batch_id == bindparam("in_batch"))
    if rescored:
        rows = rows.join(Batch, Batch.id == Item.batch_id)
    if reviewed:
        rows = rows.outerjoin(ReviewEntry, REVIEWED)
    is_open = func.sum(case((Item.status.in_(_OPEN), 1), else_=0))
    found: Select[Any] = rows.group_by(Item.part_id).having(is_open == 0).order_by(Item.part_id)
    return found


def _ended(*, reviewed: bool, rescored: bool) -> Select[Any]:
    """The parts without a verdict among those of the views."""
    of_item = (Part.batch_id == Item.batch_id) & (Part.part_id == Item.part_id)
    return (
        views_by_part(reviewed=reviewed, rescored=rescored)
        .join(Part, of_item)
        .where(Part.finished_at.is_(None))
    )


_OF_CHUNK = Item.part_id.in_(
    select(Item.part_id).where(
        Item.batch_id == bindparam("in_batch"),
        Item.seq.between(bindparam("first"), bindparam("last")),
        Item.part_id.is_not(None),
    )
)
# Built once, for batches without and with reviews, and those that were rescored (and then retried).
_ENDED = {
    (reviewed, rescored): _ended(reviewed=reviewed, rescored=rescored)
    for reviewed in (False, True)
    for rescored in (False, True)
}
_ENDED_OF_CHUNK = {kind: query.where(_OF_CHUNK) for kind, query in _ENDED.items()}
_VIEWS = (
    select(Item.part_id, Item.view)
    .where(Item.batch_id == bindparam("in_batch"), Item.part_id.in_(bindparam("of_parts", expanding=True)))
    .distinct()
)
_ROWS = (
    select(Part.__table__)
    .where(Part.batch_id == bindparam("in_batch"), Part.part_id.in_(bindparam("of_parts", expanding=True)))
    .order_by(Part.part_id)
)
_FINISH = (
    update(Part)
    .where(
        Part.batch_id == bindparam("in_batch"),
        Part.part_id == bindparam("of_part"),
        Part.finished_at.is_(None),
    )
    .values(
        verdict=bindparam("new_verdict"),
        reasons=bindparam("new_reasons"),
        missing_views=bindparam("new_missing"),
        score=bindparam("new_score"),
        held=bindparam("new_held"),
        finished_at=clock(),
    )
)
_COUNT_VERDICTS = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        defect_parts=Batch.defect_parts + bindparam("n_defect"),
        no_defect_parts=Batch.no_defect_parts + bindparam("n_no_defect"),
        review_parts=Batch.review_parts + bindparam("n_review"),
        version=Batch.version + 1,
    )
)

_REOPEN = (
    update(Part)
    .where(
        Part.batch_id == bindparam("in_batch"),
        Part.finished_at.is_not(None),
        exists().where(Item.batch_id == Part.batch_id, Item.part_id == Part.part_id, Item.status.in_(_OPEN)),
    )
    .values(verdict=None, reasons=None, missing_views=null(), finished_at=None, score=None, held=None)
)


def _counted(verdict: Verdict) -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(Part)
        .where(Part.batch_id == Batch.id, judged_parts.NOW.in_([verdict]))
        .scalar_subquery()
    )


RECOUNT = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        defect_parts=_counted(Verdict.DEFECT),
        no_defect_parts=_counted(Verdict.NO_DEFECT),
        review_parts=_counted(Verdict.REVIEW),
    )
)


@dataclass(frozen=True, slots=True)
class Views:
    """How many views a part has, how many have each verdict, and which expected ones are missing; between which scores
    the views lie that a score or a person decides, and how many the guard holds."""

    total: int
    defect: int
    no_defect: int
    review: int
    missing: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    by_guard: int = 0

    @classmethod
    def of(cls, row: Sequence[Any], missing: tuple[str, ...]) -> "Views":
        """From a row of views_by_part()."""
        _, total, defect, no_defect, review, lowest, highest, by_guard = row
        counts = (int(total), int(defect), int(no_defect), int(review))
        return cls(*counts, missing, lowest, highest, int(by_guard))

    def decides(self, rule: str) -> tuple[float | None, int | None]:
        """The columns `score` and `held` of the part: see `judged_parts`."""
        if self.missing:
            return None, None
        lost = self.total > self.defect + self.no_defect + self.review
        held = judged_parts.BY_GUARD * (self.by_guard > 0) + judged_parts.WITHOUT_VERDICT * lost
        return self.lowest if rule == PartRule.ALL_DEFECT else self.highest, held

    def verdict(self, rule: str) -> Verdict:
        """The part's verdict. A missing view means review. A view without a verdict may be either, as one in review."""
        decided = self.defect + self.no_defect
        if self.missing:
            return Verdict.REVIEW
        if rule == PartRule.ALL_DEFECT:
            alone, common = self.no_defect, (Verdict.NO_DEFECT, Verdict.DEFECT)
        else:
            alone, common = self.defect, (Verdict.DEFECT, Verdict.NO_DEFECT)
        if alone:
            return common[0]
        return common[1] if decided == self.total else Verdict.REVIEW

    def reasons(self) -> list[PartReason]:
        """Why a person should look, if the verdict is review."""
        lost = self.total - self.defect - self.no_defect - self.review
        found = {
            PartReason.MISSING_VIEW: bool(self.missing),
            PartReason.VIEW_WITHOUT_VERDICT: lost > 0,
            PartReason.VIEW_IN_REVIEW: self.review > 0,
        }
        return [reason for reason, holds in found.items() if holds]


def make(connection: Connection, batch_id: str) -> None:
    """Make the parts of a batch from its items, in the transaction that seals it.

    The caller calls complete() next, since all items of a part may have ended before.
    """
    connection.execute(_MAKE, {"in_batch": batch_id})
    connection.execute(_COUNT, {"in_batch": batch_id})


def complete(connection: Connection, batch_id: str, chunk: tuple[int, int] | None = None) -> tuple[str, ...]:
    """End the parts that have no open item, those of a chunk's items (first, last) or of the whole batch.

    Returns the ids of the deliveries that are owed for them. The caller holds the lock of the batch's row.
    """
    row = connection.execute(_BATCH, {"in_batch": batch_id}).first()
    if row is None:
        return ()
    *columns, is_wanted, reviewed = row
    batch = BatchRecord._make(columns)
    kind = (bool(reviewed), batch.revision > 0)
    if chunk is None:
        rows = connection.execute(_ENDED[kind], {"in_batch": batch_id}).all()
    else:
        within = {"in_batch": batch_id, "first": chunk[0], "last": chunk[1]}
        rows = connection.execute(_ENDED_OF_CHUNK[kind], within).all()
    if not rows:
        return ()
    missing = missing_views(connection, batch, [str(row[0]) for row in rows])
    ended = {str(row[0]): Views.of(row, missing.get(str(row[0]), ())) for row in rows}
    verdicts = Counter(_finish(connection, batch, ended).values())
    counts = {f"n_{verdict}": verdicts[verdict] for verdict in Verdict}
    connection.execute(_COUNT_VERDICTS, {"in_batch": batch_id, **counts})
    if not is_wanted and not receivers.batch_wants(batch, PART_COMPLETED):
        return ()
    return _owe(connection, batch, list(ended))


def reopen(connection: Connection, batch_id: str) -> None:
    """Take the verdict from parts of which an item is open again. The caller holds the lock of the batch's row."""
    if connection.execute(_REOPEN, {"in_batch": batch_id}).rowcount:
        connection.execute(RECOUNT, {"in_batch": batch_id})


def missing_views(
    connection: Connection, batch: BatchRecord, part_ids: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """The expected views that did not come, by part."""
    if not batch.expected_views:
        return {}
    there, asked = defaultdict[str, set[str | None]](set), list(part_ids)
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        some = {"in_batch": batch.id, "of_parts": asked[start : start + _ASKED_AT_ONCE]}
        for part_id, view in connection.execute(_VIEWS, some):
            there[str(part_id)].add(view)
    return {
        part_id: tuple(view for view in batch.expected_views if view not in there[part_id])
        for part_id in part_ids
    }


def _finish(connection: Connection, batch: BatchRecord, ended: dict[str, Views]) -> dict[str, Verdict]:
    """Write the verdicts. Raises AssertionError, and the transaction rolls back, where a part has one already."""
    verdicts = {part_id: views.verdict(batch.part_rule) for part_id, views in ended.items()}
    rows = [
        {
            "in_batch": batch.id,
            "of_part": part_id,
            "new_verdict": verdicts[part_id],
            "new_reasons": ",".join(views.reasons()) or None if verdicts[part_id] == Verdict.REVIEW else None,
            "new_missing": list(views.missing) or None,
            **dict(zip(("new_score", "new_held"), views.decides(batch.part_rule), strict=True)),
        }
        for part_id, views in ended.items()
    ]
    written = connection.execute(_FINISH, rows).rowcount
    if written != len(rows):
        raise AssertionError(f"{written} of {len(rows)} parts of {batch.id} written: another holds its lock")
    return verdicts


def _owe(connection: Connection, batch: BatchRecord, part_ids: Sequence[str]) -> tuple[str, ...]:
    """Owe the events of parts that ended just now."""
    deliveries: list[str] = []
    for start in range(0, len(part_ids), _ASKED_AT_ONCE):
        some = {"in_batch": batch.id, "of_parts": part_ids[start : start + _ASKED_AT_ONCE]}
        rows = [PartRecord._make(row) for row in connection.execute(_ROWS, some)]
        views = views_of(connection, rows)
        events = [(row, views[row.batch_id, row.part_id]) for row in rows]
        deliveries += owed.owe_parts(connection, batch, events)
    return tuple(deliveries)
