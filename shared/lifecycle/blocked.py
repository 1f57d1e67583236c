"""Batches that no worker can serve say so: `blocked` holds a code, a sentence and the time it began.

A worker that lacks a part (a model that does not load, a store that is not mounted) hands its chunk back. Handing
back costs no attempt, since the images are not at fault; so it waits ever longer, and the batch says why it waits.
The next recorded verdict of the batch, or its end, clears it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, exists, func, null, select, update

from shared.clock import now, rfc3339
from shared.contract.marks import Blocked
from shared.contract.states import BatchStatus
from shared.store.engine import clock
from shared.store.lines import is_pending
from shared.store.tables import Batch, Fetch

TOLD_AFTER = 3  # hand-backs of one chunk: a worker that starts may lack a part for a moment
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 300.0
NO_WORKER = "no_worker"
NO_FETCHER = "no_fetcher"
_CODE = Batch.blocked["code"].as_string()
_OPEN = (Batch.finished_at.is_(None), Batch.sealed.is_(True))


def wait_s(hand_backs: int) -> float:
    """Seconds until a chunk that has been handed back so many times may be claimed again."""
    return float(min(_FIRST_WAIT_S * 2 ** min(hand_backs, 10), _LONGEST_WAIT_S))


def block(connection: Connection, batch_id: str, code: str, detail: str) -> None:
    """Say why no worker can serve a batch. The first reason stands, with its time."""
    connection.execute(
        update(Batch)
        .where(Batch.id == batch_id, *_OPEN, Batch.blocked.is_(None))
        .values(blocked=_reason(code, detail), version=Batch.version + 1)
    )


def blocked(connection: Connection, limit: int) -> Sequence[str]:
    """Ids of at most `limit` blocked batches."""
    query = select(Batch.id).where(*_OPEN, Batch.blocked.is_not(None)).order_by(Batch.id).limit(limit)
    return list(connection.scalars(query))


def by_code(connection: Connection) -> dict[str, int]:
    """How many open batches are blocked, by code."""
    query = select(_CODE, func.count()).where(*_OPEN, Batch.blocked.is_not(None)).group_by(_CODE)
    return {str(code): number for code, number in connection.execute(query)}


def unserved(connection: Connection, served: Collection[str], waited_s: float, limit: int) -> Sequence[str]:
    """Ids of at most `limit` batches that have waited and whose lane no live worker serves, not yet marked."""
    query = select(Batch.id).where(
        *_OPEN,
        Batch.blocked.is_(None),
        Batch.queued > 0,
        Batch.processing == 0,
        Batch.status != BatchStatus.PAUSED,
        Batch.lane.not_in(served),
        Batch.created_at < clock() - waited_s,
    )
    return list(connection.scalars(query.order_by(Batch.id).limit(limit)))


def served_again(connection: Connection, served: Collection[str], limit: int) -> Sequence[str]:
    """Ids of at most `limit` batches marked NO_WORKER whose lane a live worker serves again."""
    marked = (*_OPEN, Batch.blocked.is_not(None), _CODE == NO_WORKER, Batch.lane.in_(served))
    return list(connection.scalars(select(Batch.id).where(*marked).order_by(Batch.id).limit(limit)))


def unfetched(connection: Connection, waited_s: float, limit: int) -> Sequence[str]:
    """Ids of at most `limit` batches with a fetch that has been due for so long, not yet marked."""
    late = exists().where(Fetch.batch_id == Batch.id, is_pending(Fetch), Fetch.due_at < clock() - waited_s)
    query = select(Batch.id).where(*_OPEN, Batch.blocked.is_(None), late)
    return list(connection.scalars(query.order_by(Batch.id).limit(limit)))


def marked(connection: Connection, code: str, limit: int) -> Sequence[str]:
    """Ids of at most `limit` batches that are blocked for this reason."""
    query = select(Batch.id).where(*_OPEN, Batch.blocked.is_not(None), code == _CODE)
    return list(connection.scalars(query.order_by(Batch.id).limit(limit)))


def unblock(connection: Connection, batch_id: str, code: str) -> None:
    """Clear the mark of a batch that is blocked for this reason."""
    connection.execute(
        update(Batch)
        .where(Batch.id == batch_id, *_OPEN, code == _CODE)
        .values(blocked=null(), version=Batch.version + 1)
    )


def _reason(code: str, detail: str) -> Blocked:
    return {"code": code, "detail": detail, "since": rfc3339(now())}
