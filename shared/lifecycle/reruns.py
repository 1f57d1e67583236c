"""A rerun: the images of an ended batch again, as a batch of their own with another model version.

The packs are linked and not copied: the file system keeps the bytes until the last batch that has them is deleted. The
rows are copied by the database, each in its place, so that a diff compares place with place.
"""

from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from shared.contract.reruns import DiffCount
from shared.contract.states import ItemStatus
from shared.lifecycle import judged
from shared.lifecycle.cover import queue_runs
from shared.store.engine import clock
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Item

_KEPT = ("filename", "custom_id", "sha256", "pack", "offset", "length", "part_id", "view", "frame")
_HAS_BYTES = Item.length > 0
_NEVER_CAME = "its bytes had not come when the batch ended"
_COPY = insert(Item).from_select(
    [
        "batch_id", "seq", *_KEPT, "metadata", "status", "attempts", "error_code", "error_detail", "created_at",
        "finished_at",
    ],
    select(
        bindparam("new_batch"),
        Item.seq,
        *(getattr(Item, name) for name in _KEPT),
        Item.metadata_,
        case((_HAS_BYTES, ItemStatus.QUEUED.value), else_=ItemStatus.FAILED.value),
        literal(0),
        case((_HAS_BYTES, null()), else_=func.coalesce(Item.error_code, "fetch_failed")),
        case((_HAS_BYTES, null()), else_=func.coalesce(Item.error_detail, _NEVER_CAME)),
        clock(),
        case((_HAS_BYTES, null()), else_=clock()),
    ).where(Item.batch_id == bindparam("of_batch")),
)  # fmt: skip
_NUMBERS = (
    select(Item.status, func.count()).where(Item.batch_id == bindparam("in_batch")).group_by(Item.status)
)
_QUEUED = (
    select(Item.seq, Item.pack)
    .where(Item.batch_id == bindparam("in_batch"), Item.status == ItemStatus.QUEUED)
    .order_by(Item.seq)
)


class SourceGone(Exception):
    """The batch was deleted while it was copied."""


def copy(connection: Connection, source: BatchRecord, batch_id: str, lane: str) -> int:
    """Copy the items of an ended batch into an unsealed batch and queue them; returns how many chunks to announce.

    The caller has linked the packs. Items without bytes fail as they did, or as not fetched. Raises SourceGone, after
    which the transaction must roll back.
    """
    connection.execute(_COPY, {"new_batch": batch_id, "of_batch": source.id})
    # Drivers do not agree on the number of rows of an INSERT … SELECT, so they are counted.
    numbers = {
        str(status): int(count) for status, count in connection.execute(_NUMBERS, {"in_batch": batch_id})
    }
    if sum(numbers.values()) != source.total:
        raise SourceGone(source.id)
    connection.execute(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(
            total=source.total,
            queued=numbers.get(ItemStatus.QUEUED, 0),
            failed=numbers.get(ItemStatus.FAILED, 0),
            bytes=source.bytes,
            packs=source.packs,
            rerun_of=root(source),
        )
    )
    items = [(seq, pack) for seq, pack in connection.execute(_QUEUED, {"in_batch": batch_id})]
    return queue_runs(connection, batch_id, items, lane)


def root(batch: BatchRecord) -> str:
    """The batch that was submitted with these images: a rerun of a rerun has the same one."""
    return batch.rerun_of or batch.id


_A, _B = aliased(Item), aliased(Item)


def _verdict(item: type[Item], name: str) -> judged.Column:
    """The verdict of an item, by the point of its batch where that was rescored."""
    rescored = cast(bindparam(f"{name}_revision"), Integer) > 0
    return case((rescored, judged.verdict_at(judged.given(name), item)), else_=item.verdict)


_VERDICT_A, _VERDICT_B = _verdict(_A, "a"), _verdict(_B, "b")
# The outcome of an item: its verdict, or how it ended without one.
_STATE_A, _STATE_B = func.coalesce(_VERDICT_A, _A.status), func.coalesce(_VERDICT_B, _B.status)
_PAIRED = and_(_A.batch_id == bindparam("a"), _B.batch_id == bindparam("b"), _A.seq == _B.seq)
_PAGE = (
    select(
        _A.seq, _A.filename, _A.custom_id, _A.part_id, _A.status, _VERDICT_A, _A.score, _B.status, _VERDICT_B, _B.score
    )
    .join_from(_A, _B, _PAIRED)
    .where(_A.seq > bindparam("last"), _A.seq <= bindparam("stop"), or_(bindparam("whole"), _STATE_A != _STATE_B))
    .order_by(_A.seq)
    .limit(bindparam("most"))
)  # fmt: skip
_MATRIX = (
    select(_STATE_A.label("of_a"), _STATE_B.label("of_b"), func.count())
    .join_from(_A, _B, _PAIRED)
    .group_by(literal_column("of_a"), literal_column("of_b"))
)


class Pair(NamedTuple):
    """An item in two batches: status, verdict and score in each."""

    seq: int
    filename: str
    custom_id: str | None
    part_id: str | None
    status_a: str
    verdict_a: str | None
    score_a: float | None
    status_b: str
    verdict_b: str | None
    score_b: float | None


class Kind(NamedTuple):
    """Which pairs to show: those whose outcome differs, or with `whole` all of them, with these outcomes if given."""

    whole: bool = False
    before: str | None = None
    after: str | None = None


def _page(*, has_before: bool, has_after: bool) -> Select[Any]:
    page: Any = _PAGE
    if has_before:
        page = page.where(bindparam("before") == _STATE_A)
    if has_after:
        page = page.where(bindparam("after") == _STATE_B)
    made: Select[Any] = page
    return made


_PAGES = {
    (before, after): _page(has_before=before, has_after=after)
    for before in (False, True)
    for after in (False, True)
}


def pairs(
    connection: Connection, a: BatchRecord, b: BatchRecord, places: tuple[int, int], most: int, kind: Kind
) -> list[Pair]:
    """The items of a kind behind the first of two places and up to the second one, at most so many."""
    page = _PAGES[kind.before is not None, kind.after is not None]
    given = {**_given(a, b), "last": places[0], "stop": places[1], "most": most, **kind._asdict()}
    return [Pair._make(row) for row in connection.execute(page, given)]


def matrix(connection: Connection, a: BatchRecord, b: BatchRecord) -> list[DiffCount]:
    """How many items have which outcome in one batch and in the other."""
    rows = sorted(
        (str(before), str(after), int(count))
        for before, after, count in connection.execute(_MATRIX, _given(a, b))
    )
    return [{"before": before, "after": after, "count": count} for before, after, count in rows]


def _given(a: BatchRecord, b: BatchRecord) -> dict[str, object]:
    made: dict[str, object] = {}
    for name, batch in (("a", a), ("b", b)):
        made |= {name: batch.id, f"{name}_revision": batch.revision}
        made |= judged.values(name, batch.threshold, batch.review_low, batch.review_high)
    return made
