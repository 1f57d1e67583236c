"""Turns: tenants share a lane, and the batches of a tenant share its part, whatever their sizes.

Both shares are counted in items. A chunk gets a *place* in the line of its tenant and lane: the place of the chunk
before it in its batch, or the first place in the line if that is further on, plus its items. So a batch of 10 stands
near the head of a line of 100,000, and two large batches alternate. A claim takes the tenant that has been served
least, and the first chunk of its line. A tenant that was idle begins where the tenant served last began: it is next,
and it brings no credit from its idle time (start-time fair queuing).
"""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, bindparam, case, exists, func, or_, select
from sqlalchemy import literal_column as sql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.expression import FunctionElement

from shared.contract.states import ChunkStatus
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk

_LONGEST_WAIT_S = 3600.0  # no chunk that was handed back waits longer


class greatest(FunctionElement[int]):
    """The greater of two integers."""

    type = BigInteger()
    inherit_cache = True


@compiles(greatest, "postgresql")
def _greatest_postgresql(element: greatest, compiler: Any, **options: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **options)})"


@compiles(greatest, "sqlite")
def _greatest_sqlite(element: greatest, compiler: Any, **options: Any) -> str:
    return f"max({compiler.process(element.clauses, **options)})"


def is_queued(chunk: Any) -> ColumnElement[bool]:
    """The status is spelled out, since a planner that does not see it cannot use the index of queued chunks."""
    return chunk.status == sql("'queued'")  # type: ignore[no-any-return]


def is_claimable(chunk: Any) -> ColumnElement[bool]:
    """Queued in the lane `in_lane`, and not handed back a moment ago."""
    # A wait far ahead was set under a clock that has jumped back since.
    waits = chunk.lease_until.between(clock(), clock() + _LONGEST_WAIT_S)
    return and_(
        is_queued(chunk), chunk.lane == bindparam("in_lane"), or_(chunk.lease_until.is_(None), ~waits)
    )


def _owner(column: str) -> Any:
    """A column of the batch `in_batch`."""
    owner = aliased(Batch)
    return select(getattr(owner, column)).where(owner.id == bindparam("in_batch")).scalar_subquery()


def _first_place(lane: Any) -> Any:
    """The first place in the line of the tenant of `in_batch`; NULL if none of its chunks is queued in the lane."""
    queued = aliased(Chunk)
    return (
        select(func.min(queued.place))
        .where(is_queued(queued), queued.lane == lane, queued.tenant == _owner("tenant"))
        .scalar_subquery()
    )


def _placed() -> dict[str, object]:
    before = aliased(Chunk)
    waits = before.status.in_([ChunkStatus.QUEUED, ChunkStatus.HELD])
    place_before = (
        select(case((waits, before.place), else_=0))
        .where(before.batch_id == bindparam("in_batch"))
        .order_by(before.first_seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    furthest = greatest(func.coalesce(place_before, 0), func.coalesce(_first_place(bindparam("in_lane")), 0))
    return {"tenant": _owner("tenant"), "place": furthest + bindparam("n_items")}


# The values of a new chunk of the batch `in_batch` in the lane `in_lane`, with `n_items` items.
PLACED = _placed()


def place_at_release(lane: Any = None) -> Any:
    """The place of a held chunk of `in_batch` that is queued now: its batch joins the line at the head.

    The lane is the batch's own, unless another is named.
    """
    first_place = _first_place(_owner("lane") if lane is None else lane)
    held = aliased(Chunk)
    first_held = select(func.min(held.first_seq)).where(
        held.batch_id == bindparam("in_batch"), held.status == ChunkStatus.HELD
    )
    return func.coalesce(first_place, 0) + Chunk.last_seq + 1 - first_held.scalar_subquery()


def _next_tenant() -> Any:
    """The tenant with a claimable chunk in `in_lane` that has been served least there."""
    # The statement takes a step through the index for each waiting tenant, however many chunks wait: neither
    # database does so by itself for DISTINCT.
    first, later, ready, turn = (aliased(Chunk) for _ in range(4))
    in_lane: Any = bindparam("in_lane")
    waiting = (
        select(func.min(first.tenant).label("tenant"))
        .where(is_queued(first), first.lane == in_lane)
        .cte("waiting", recursive=True)
    )
    following = (
        select(func.min(later.tenant))
        .where(is_queued(later), later.lane == in_lane, later.tenant > waiting.c.tenant)
        .correlate(waiting)
        .scalar_subquery()
    )
    waiting = waiting.union_all(
        select(following.label("tenant")).select_from(waiting).where(waiting.c.tenant.is_not(None))
    )
    served = (
        select(func.max(turn.turn_ended))
        .where(turn.lane == in_lane, turn.tenant == waiting.c.tenant, turn.turn_ended.is_not(None))
        .correlate(waiting)
        .scalar_subquery()
    )
    return (
        select(waiting.c.tenant)
        .select_from(waiting)
        .where(exists().where(is_claimable(ready), ready.tenant == waiting.c.tenant))
        .order_by(func.coalesce(served, -1), waiting.c.tenant)
        .limit(1)
        .scalar_subquery()
    )


def _next_chunk() -> Any:
    """The id of the chunk to claim in `in_lane`; NULL if none is claimable.

    SKIP LOCKED (PostgreSQL): two workers that claim at once take two chunks instead of waiting in line. If others
    have just taken all chunks of the next tenant, the oldest chunk of the lane is taken: a claim that came back empty
    would cost the lane a message.
    """
    fair, oldest = aliased(Chunk), aliased(Chunk)
    return func.coalesce(
        select(fair.id)
        .where(is_claimable(fair), fair.tenant == _next_tenant())
        .order_by(fair.place, fair.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery(),
        select(oldest.id)
        .where(is_claimable(oldest))
        .order_by(oldest.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery(),
    )


NEXT_CHUNK = _next_chunk()


def _turn() -> dict[str, object]:
    own, newest = aliased(Chunk), aliased(Chunk)
    served = select(func.max(own.turn_ended)).where(
        own.lane == Chunk.lane, own.tenant == Chunk.tenant, own.turn_ended.is_not(None)
    )
    # No tenant begins before the newest turn of the lane began: it would bring credit from its idle time.
    latest = select(func.max(newest.turn_began)).where(
        newest.lane == Chunk.lane, newest.turn_began.is_not(None)
    )
    begins = greatest(
        func.coalesce(served.correlate(Chunk).scalar_subquery(), 0),
        func.coalesce(latest.correlate(Chunk).scalar_subquery(), 0),
    )
    return {"turn_began": begins, "turn_ended": begins + Chunk.last_seq - Chunk.first_seq + 1}


# Set by a claim: its chunk is a turn of its tenant.
TURN = _turn()
