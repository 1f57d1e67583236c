"""The items of a large batch in the order of their scores, kept once it has ended: a page then sorts nothing.

No index of `items` names a score: each verdict of the bulk path would write an entry (docs/decisions/0021). So the
sweep reads an ended batch once, and keeps places and scores in blocks. Scores and the guard's findings change with a
run alone. Verdicts change with the operating point, but each is a range of scores: a rescoring needs no other order.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from shared.contract.states import FINISHED_ITEM, ItemStatus, Verdict
from shared.lifecycle import judged
from shared.store.engine import Database
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Item, OrderAsked, ScoreBlock

LARGE = 20_000  # items; the page of a smaller batch sorts them
DECIDED, HELD = "decided", "held"
_UNSORTED = "unsorted"  # the one block of a batch whose verdicts are no ranges of scores
WITHOUT_SCORE = -1.0
_WITHOUT = tuple(sorted(status.value for status in FINISHED_ITEM - {ItemStatus.SUCCEEDED}))
IN_BLOCK = 2_000
_READ_AT_ONCE = 20_000
_ROWS = (
    select(Item.seq, Item.score, Item.status, case((judged.IS_UNLIKE, 1), else_=0), judged.IS_OTHER)
    .join(Batch, Batch.id == Item.batch_id)
    .where(Item.batch_id == bindparam("in_batch"), Item.seq > bindparam("last"))
    .order_by(Item.seq)
    .limit(_READ_AT_ONCE)
)
_BATCH = select(Batch.__table__).where(Batch.id == bindparam("in_batch"), Batch.finished_at.is_not(None))
_OF_RUN = (ScoreBlock.batch_id == bindparam("in_batch"), ScoreBlock.run == bindparam("of_run"))
_ANY = select(ScoreBlock.kind).where(*_OF_RUN).limit(1)
_BLOCKS = (
    select(ScoreBlock.number, ScoreBlock.scores, ScoreBlock.places)
    .where(
        *_OF_RUN,
        ScoreBlock.kind == bindparam("of_kind"),
        ScoreBlock.number > bindparam("after"),
        ScoreBlock.lowest <= bindparam("highest"),
    )
    .order_by(ScoreBlock.number)
    .limit(1)
)
_FORGET = delete(ScoreBlock).where(ScoreBlock.batch_id == bindparam("in_batch"))
_DONE = delete(OrderAsked).where(OrderAsked.batch_id == bindparam("in_batch"))
_ASK = {
    name: dialect.insert(OrderAsked).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_IS_ASKED = select(OrderAsked.batch_id).where(OrderAsked.batch_id == bindparam("in_batch"))
_ASKED = select(OrderAsked.batch_id).order_by(OrderAsked.batch_id).limit(bindparam("most"))


class Place(NamedTuple):
    """An item in the order: by falling score, then by number. `score` is WITHOUT_SCORE for one that has none."""

    falling: float  # the score with the opposite sign, so that places compare
    seq: int

    @property
    def score(self) -> float:
        return -self.falling


class Range(NamedTuple):
    """Items of a kind whose scores lie between these two, both included."""

    kind: str
    lowest: float = WITHOUT_SCORE
    highest: float = math.inf


def ask(connection: Connection, batch_id: str) -> None:
    """Let the sweep put an ended batch in order. Safe to repeat."""
    connection.execute(_ASK[connection.dialect.name], {"batch_id": batch_id})


def ask_once(database: Database, batch_id: str) -> None:
    """As ask(), for a page: it writes only where no other page has asked."""
    with database.read() as connection:
        if connection.scalar(_IS_ASKED, {"in_batch": batch_id}) is not None:
            return
    with database.write() as connection:
        ask(connection, batch_id)


def asked(connection: Connection, most: int) -> Sequence[str]:
    """Batches that the sweep has to put in order."""
    return list(connection.scalars(_ASKED, {"most": most}))


def make(database: Database, batch_id: str) -> BatchRecord | None:
    """Put an ended batch in order, once; None where it runs or is gone. Safe to repeat, and at the same time."""
    with database.read() as connection:
        row = connection.execute(_BATCH, {"in_batch": batch_id}).first()
        batch = None if row is None else BatchRecord._make(row)
        blocks = [] if batch is None or is_made(connection, batch) is not None else _blocks(connection, batch)
    with database.write() as connection:
        # The batch's lock: neither a retry nor a deletion commits between this look and the blocks.
        locked = _BATCH.with_for_update(key_share=True)
        now = connection.execute(locked, {"in_batch": batch_id}).first()
        if batch is not None and now is not None and now.run == batch.run and blocks:
            connection.execute(_FORGET, {"in_batch": batch_id})
            connection.execute(insert(ScoreBlock), blocks)
        if now is None or (batch is not None and now.run == batch.run):
            connection.execute(_DONE, {"in_batch": batch_id})
    return batch


def is_made(connection: Connection, batch: BatchRecord) -> bool | None:
    """Whether the batch's present run is in order; None where it was not looked at yet.

    False: some verdicts are not those of their scores, as in a batch that no worker has judged.
    """
    kind = connection.scalar(_ANY, {"in_batch": batch.id, "of_run": batch.run})
    return None if kind is None else kind != _UNSORTED


def forget(connection: Connection, batch_id: str) -> None:
    """Drop the order of a batch that is deleted."""
    connection.execute(_FORGET, {"in_batch": batch_id})
    connection.execute(_DONE, {"in_batch": batch_id})


def ranges(batch: BatchRecord, statuses: Sequence[str], verdicts: Sequence[str]) -> list[Range]:
    """The items of a batch with one of these statuses and one of these verdicts, each without a filter where empty."""
    low, high, threshold = batch.review_low, batch.review_high, batch.threshold
    if low >= high:
        low, high = threshold, math.nextafter(threshold, -math.inf)  # an empty band
    of = {
        Verdict.DEFECT: [Range(DECIDED, lowest=math.nextafter(high, math.inf))],
        Verdict.NO_DEFECT: [Range(DECIDED, highest=math.nextafter(low, -math.inf))],
        Verdict.REVIEW: [Range(HELD), Range(DECIDED, low, high)],
    }
    found: list[Range] = []
    if not statuses or ItemStatus.SUCCEEDED in statuses:
        found += [each for verdict in {*(verdicts or of)} for each in of[Verdict(verdict)]]
    if not verdicts:
        found += [Range(status) for status in _WITHOUT if not statuses or status in statuses]
    return found


def places(
    connection: Connection, batch: BatchRecord, wanted: Sequence[Range], after: Place | None, most: int
) -> list[Place]:
    """The first places of these ranges behind one, in order, at most so many."""
    rows = [islice(_places(connection, batch, each, after), most) for each in wanted]
    return list(islice(merge(*rows), most))


def _places(
    connection: Connection, batch: BatchRecord, wanted: Range, after: Place | None
) -> Iterator[Place]:
    begin = Place(-wanted.highest, -1)
    if after is not None:
        begin = max(begin, Place(after.falling, after.seq + 1))
    given = {"in_batch": batch.id, "of_run": batch.run, "of_kind": wanted.kind, "highest": begin.score}
    number = -1
    while (row := connection.execute(_BLOCKS, {**given, "after": number}).first()) is not None:
        number, scores, seqs = row.number, array("d", row.scores), array("I", row.places)
        found = (Place(-scores[each], seqs[each]) for each in range(_behind(scores, seqs, begin), len(seqs)))
        for place in found:
            if place.score < wanted.lowest:
                return
            yield place


def _behind(scores: "array[float]", seqs: "array[int]", begin: Place) -> int:
    """How many places of a block come before one."""
    return bisect_left(range(len(seqs)), begin, key=lambda each: Place(-scores[each], seqs[each]))


def _blocks(connection: Connection, batch: BatchRecord) -> list[dict[str, object]]:
    """The rows of all blocks. The batch is read in its own order, so that no statement takes long."""
    kinds: dict[str, tuple[array[float], array[int]]] = {}
    last = -1
    while rows := connection.execute(_ROWS, {"in_batch": batch.id, "last": last}).all():
        last = rows[-1].seq
        if any(row[-1] for row in rows):
            kinds = {_UNSORTED: (array("d", [WITHOUT_SCORE]), array("I", [0]))}
            break
        for seq, score, status, held, _ in rows:
            kind = status if score is None else HELD if held else DECIDED
            scores, numbers = kinds.setdefault(kind, (array("d"), array("I")))
            scores.append(WITHOUT_SCORE if score is None else score)
            numbers.append(seq)
    made: list[dict[str, object]] = []
    for kind, (scores, numbers) in kinds.items():
        # Stable also in reverse: equal scores stay in the order of the batch.
        order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
        for number, start in enumerate(range(0, len(order), IN_BLOCK)):
            some = order[start : start + IN_BLOCK]
            made.append(
                {
                    "batch_id": batch.id, "run": batch.run, "kind": kind, "number": number,
                    "lowest": scores[some[-1]],
                    "scores": array("d", (scores[each] for each in some)).tobytes(),
                    "places": array("I", (numbers[each] for each in some)).tobytes(),
                }
            )  # fmt: skip
    return made
