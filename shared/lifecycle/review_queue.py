"""The queue of items that persons look at: made on demand, claimed for a time, and put back.

Recording verdicts costs nothing for it (docs/decisions/0021). A batch knows by `review_seq` how many of its first
items the queue has been made of, and by `review_open` whether items may be left. When a person asks for an item and
the queue has none, fill() reads some thousand items more.

Locks are taken in the order batch, entry.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Insert,
    String,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shared.contract.reviews import BAND, GUARD, LONGEST_LEASE_S, PASSED, REFUSED, WAITING
from shared.contract.states import ItemStatus, Verdict
from shared.lifecycle import judged, sampling
from shared.lifecycle.sampling import P
from shared.lifecycle.shares import Shares
from shared.store.engine import clock
from shared.store.review_records import EntryRecord
from shared.store.tables import Batch, Item, Opinion, ReviewEntry

_BLOCK = 20_000  # positions that one fill() reads at most
_OPEN = (ItemStatus.QUEUED, ItemStatus.PROCESSING)
_ENTRY = ReviewEntry.__table__


class Wanted(NamedTuple):
    """Which entries a person wants to look at; None: whichever there are."""

    batch_id: str | None = None
    line: str | None = None
    source: Sequence[str] | None = None


class _Unmade(NamedTuple):
    id: str
    total: int
    at: int
    run: int
    has_ended: bool


def _below(use: str, name: str) -> ColumnElement[bool]:
    return sampling.position_of_item(use) < cast(bindparam(name), Float) * float(P)


_IS_QUEUED = or_(
    judged.NOW == Verdict.REVIEW,
    and_(judged.NOW == Verdict.NO_DEFECT, _below("audit", "passed")),
    and_(judged.NOW == Verdict.DEFECT, _below("audit", "refused")),
)
_SOURCE = case(
    (judged.NOW == Verdict.NO_DEFECT, PASSED),
    (judged.NOW == Verdict.DEFECT, REFUSED),
    (judged.IS_UNLIKE, GUARD),
    else_=BAND,
)
_SHARE = case(
    (judged.NOW == Verdict.NO_DEFECT, cast(bindparam("passed"), Float)),
    (judged.NOW == Verdict.DEFECT, cast(bindparam("refused"), Float)),
    else_=1.0,
)
_COLUMNS = ("batch_id", "seq", "tenant", "line", "source", "share", "status", "place", "rounds")
_OF_ITEM = select(
    Item.batch_id,
    Item.seq,
    Batch.tenant,
    Batch.line,
    _SOURCE,
    _SHARE,
    literal(WAITING, String),
    clock(),
    case((_below("second", "second"), 2), else_=1),
).join(Batch, Batch.id == Item.batch_id)
_CANDIDATES = _OF_ITEM.where(
    Item.batch_id == bindparam("in_batch"),
    Item.seq >= bindparam("first"),
    Item.seq < bindparam("stop"),
    Item.status == ItemStatus.SUCCEEDED,
    _IS_QUEUED,
)


def _adding(dialect: ModuleType) -> Insert:
    made: Insert = dialect.insert(ReviewEntry).from_select(_COLUMNS, _CANDIDATES).on_conflict_do_nothing()
    return made


_ADD = {"sqlite": _adding(sqlite), "postgresql": _adding(postgresql)}
_UNMADE = (
    select(Batch.id, Batch.total, Batch.review_seq, Batch.run, Batch.finished_at.is_not(None))
    .where(Batch.review_open == true(), Batch.sealed == true(), Batch.tenant == bindparam("of_tenant"))
    .order_by(Batch.id.desc())
    .limit(bindparam("most"))
)
_UNMADE_OF_BATCH = _UNMADE.where(Batch.id == bindparam("in_batch"))
# Persons have seen the images of a rerun with those of its first batch: its items are queued where asked for.
_UNMADE_ONCE = _UNMADE.where(Batch.rerun_of.is_(None))
_UNMADE_OF_LINE = _UNMADE_ONCE.where(Batch.line == bindparam("of_line"))
_FIRST_OPEN = (
    select(Item.seq)
    .where(
        Item.batch_id == bindparam("in_batch"),
        Item.seq >= bindparam("first"),
        Item.seq < bindparam("stop"),
        Item.status.in_(_OPEN),
    )
    .order_by(Item.seq)
    .limit(1)
)
_MOVE = (
    update(Batch)
    .where(
        Batch.id == bindparam("in_batch"),
        Batch.review_seq == bindparam("first"),
        Batch.run == bindparam("of_run"),
    )
    .values(
        review_seq=bindparam("stop"),
        review_open=case(
            (and_(Batch.finished_at.is_not(None), Batch.total <= bindparam("stop")), False), else_=True
        ),
    )
)
_AGAIN = update(Batch).where(Batch.id == bindparam("in_batch")).values(review_seq=0, review_open=True)
# As `is_held` of the contract: a lease beyond the longest was given under a clock that has jumped back since.
_IS_HELD = ReviewEntry.lease_until.between(clock(), clock() + LONGEST_LEASE_S)
_IS_FREE = or_(ReviewEntry.lease_until.is_(None), ~_IS_HELD)
# Not what a person looks at now: made again, the entry would be free, and another person would get it too.
_FORGET = delete(ReviewEntry).where(
    ReviewEntry.batch_id == bindparam("in_batch"),
    ReviewEntry.status == WAITING,
    ReviewEntry.given == 0,
    _IS_FREE,
)
_IS_MINE = exists().where(
    Opinion.batch_id == ReviewEntry.batch_id,
    Opinion.seq == ReviewEntry.seq,
    Opinion.key_id == bindparam("by_key"),
    Opinion.undone_at.is_(None),
)
_WAITING = and_(ReviewEntry.tenant == bindparam("of_tenant"), ReviewEntry.status == WAITING)
_FREE = (
    select(ReviewEntry.batch_id, ReviewEntry.seq)
    .where(_WAITING, _IS_FREE, or_(ReviewEntry.given == 0, ~_IS_MINE))
    .order_by(ReviewEntry.place, ReviewEntry.batch_id, ReviewEntry.seq)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_OF_ENTRY = and_(ReviewEntry.batch_id == bindparam("in_batch"), ReviewEntry.seq == bindparam("at_seq"))
_HOLD = (
    update(ReviewEntry)
    .where(_OF_ENTRY)
    .values(holder=bindparam("by_holder"), lease_until=clock() + bindparam("lease_s"))
    .returning(_ENTRY)
)
_RENEW = (
    update(ReviewEntry)
    .where(
        ReviewEntry.holder == bindparam("by_holder"),
        ReviewEntry.status == WAITING,
        ReviewEntry.tenant == bindparam("of_tenant"),
        _IS_HELD,
    )
    .values(lease_until=clock() + bindparam("lease_s"))
    .returning(_ENTRY)
)
_PUT_BACK = (
    update(ReviewEntry)
    .where(
        _OF_ENTRY,
        ReviewEntry.tenant == bindparam("of_tenant"),
        ReviewEntry.status == WAITING,
        or_(ReviewEntry.holder == bindparam("by_holder"), _IS_FREE),
    )
    .values(holder=None, lease_until=None, place=clock())
)
_LET_ALL_GO = (
    update(ReviewEntry)
    .where(ReviewEntry.holder == bindparam("by_holder"))
    .values(holder=None, lease_until=None)
)
_LET_GO = _LET_ALL_GO.where(~_OF_ENTRY)
_COUNTS = select(ReviewEntry.source, func.count()).where(_WAITING, _IS_FREE).group_by(ReviewEntry.source)


def unmade(connection: Connection, tenant: str, wanted: Wanted, most: int = 50) -> list[_Unmade]:
    """Batches of which the queue may not hold everything yet, the newest first."""
    query, given = _UNMADE_ONCE, {"of_tenant": tenant, "most": most}
    if wanted.batch_id is not None:
        query, given = _UNMADE_OF_BATCH, {**given, "in_batch": wanted.batch_id}
    elif wanted.line is not None:
        query, given = _UNMADE_OF_LINE, {**given, "of_line": wanted.line}
    return [_Unmade._make(row) for row in connection.execute(query, given)]


def reach(connection: Connection, batch: _Unmade) -> int:
    """How far the queue of a batch can be made now: up to its first open item, and some thousand items at once."""
    stop = min(batch.total, batch.at + _BLOCK)
    if batch.has_ended:
        return stop
    within = {"in_batch": batch.id, "first": batch.at, "stop": stop}
    first_open = connection.scalar(_FIRST_OPEN, within)
    return stop if first_open is None else int(first_open)


def fill(connection: Connection, batch: _Unmade, stop: int, shares: Shares) -> bool:
    """Queue items batch.at..stop-1 of a batch. Safe to repeat: each position is looked at once.

    False, and nothing is queued, where another process has done so since the batch was read.
    """
    given = {"in_batch": batch.id, "first": batch.at, "stop": stop}
    if connection.execute(_MOVE, {**given, "of_run": batch.run}).rowcount != 1:
        return False
    given |= sampling.parameters(batch.id, "audit") | sampling.parameters(batch.id, "second")
    given |= {"passed": shares.passed, "refused": shares.refused, "second": shares.second}
    connection.execute(_ADD[connection.dialect.name], given)
    return True


def again(connection: Connection, batch_id: str) -> None:
    """Make the queue of a batch again, since its verdicts have changed; entries that are held or have an opinion stay.

    The caller holds the lock of the batch's row, or takes it by this.
    """
    connection.execute(_AGAIN, {"in_batch": batch_id})
    connection.execute(_FORGET, {"in_batch": batch_id})


def held(
    connection: Connection, tenant: str, holder: str, lease_s: float, place: tuple[str, int] | None = None
) -> EntryRecord | None:
    """The entry that a holder has now, or has at this place, if any; its lease begins again."""
    query, given = _RENEW, {"of_tenant": tenant, "by_holder": holder, "lease_s": lease_s}
    if place is not None:
        query = query.where(ReviewEntry.batch_id == place[0], ReviewEntry.seq == place[1])
    row = connection.execute(query, given).first()
    return None if row is None else EntryRecord._make(row)


def claim(
    connection: Connection, tenant: str, wanted: Wanted, *, key_id: str, holder: str, lease_s: float
) -> EntryRecord | None:
    """The next free entry, held from now on by `holder`; None where there is none.

    An entry that has an opinion by the same key is left to others.
    """
    query = _FREE
    if wanted.batch_id is not None:
        query = query.where(ReviewEntry.batch_id == wanted.batch_id)
    if wanted.line is not None:
        query = query.where(ReviewEntry.line == wanted.line)
    if wanted.source is not None:
        query = query.where(ReviewEntry.source.in_(list(wanted.source)))
    found = connection.execute(query, {"of_tenant": tenant, "by_key": key_id}).first()
    if found is None:
        return None
    given = {"in_batch": found.batch_id, "at_seq": found.seq, "by_holder": holder, "lease_s": lease_s}
    return EntryRecord._make(connection.execute(_HOLD, given).one())


def put_back(connection: Connection, tenant: str, batch_id: str, seq: int, holder: str) -> bool:
    """Give an entry back, behind the others; False where another person has it, or none waits."""
    given = {"of_tenant": tenant, "in_batch": batch_id, "at_seq": seq, "by_holder": holder}
    return connection.execute(_PUT_BACK, given).rowcount == 1


def is_held(connection: Connection, tenant: str, batch_id: str, seq: int) -> bool:
    """Whether a person has the entry at this place."""
    given = {"of_tenant": tenant, "in_batch": batch_id, "at_seq": seq}
    return bool(connection.scalar(select(exists().where(_OF_ENTRY, _WAITING, _IS_HELD)), given))


def let_go(connection: Connection, holder: str, but: tuple[str, int] | None = None) -> None:
    """Free the entries that a holder has, but for one; they keep their places in the line."""
    if but is None:
        connection.execute(_LET_ALL_GO, {"by_holder": holder})
    else:
        connection.execute(_LET_GO, {"by_holder": holder, "in_batch": but[0], "at_seq": but[1]})


def waiting(connection: Connection, tenant: str) -> dict[str, int]:
    """How many entries wait that no person has taken, by source, as far as the queue is made."""
    rows = connection.execute(_COUNTS, {"of_tenant": tenant})
    return {str(source): int(count) for source, count in rows}
