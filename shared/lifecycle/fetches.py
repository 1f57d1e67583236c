"""Items whose bytes are fetched from a URL or an object store: due, claimed, stored or given up.

Such an item is queued without a chunk, so no worker claims it. A claim moves the due time past the longest time that a
fetch takes and sets a token. If its holder dies, the due time passes and another process claims the fetch; the token
fences the first holder, so it writes nothing. An item whose bytes are stored gets a chunk and goes the way of every
other item.

This module alone writes the rows of fetches. Compare-and-set as in `shared.lifecycle.endings`; a fetch is locked before
chunks, items and the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    insert,
    null,
    or_,
    select,
    update,
)

from shared.access import quotas
from shared.access.quotas import Bounds
from shared.contract.states import BatchStatus, ChunkStatus, FetchStatus, ItemStatus
from shared.errors import GonogoError, ItemErrorCode
from shared.ids import item_id, split_item_id
from shared.lifecycle import parts, told_items
from shared.lifecycle.cover import queue_runs
from shared.lifecycle.received import ReceivedItem
from shared.lifecycle.verdicts import Recorded
from shared.store import tallies
from shared.store.engine import clock
from shared.store.lines import is_pending, line_of, lines_of
from shared.store.tables import Batch, Chunk, Fetch, Item

# Uploads and drafts count their packs from 0, in steps of at most 4096: none of them comes so far.
FIRST_PACK = 2**30
_BEYOND_ANY_WAIT_S = 86_400.0
_LINES = lines_of(Fetch)
_INSERT = insert(Fetch).values(due_at=clock())
_MINE = and_(
    Fetch.batch_id == bindparam("in_batch"),
    Fetch.seq == bindparam("at_seq"),
    Fetch.token == bindparam("by_token"),
)
_NEXT_PACK = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(packs=Batch.packs + 1)
    .returning(Batch.packs, Batch.tenant, Batch.lane)
)


class OverQuota(GonogoError):
    """The tenant would store more than it may."""

    code = "quota_exceeded"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A fetch that this process holds. `stale_pack` is what a holder before it may have left behind."""

    batch_id: str
    seq: int
    source: str
    tries: int
    token: str
    tenant: str
    lane: str
    pack: int
    stale_pack: int | None

    @property
    def _key(self) -> dict[str, object]:
        return {"in_batch": self.batch_id, "at_seq": self.seq, "by_token": self.token}


def add(connection: Connection, batch_id: str, items: Sequence[ReceivedItem]) -> None:
    """Owe the fetches of new items, in the transaction that inserts them."""
    if not items:
        return
    tenant = connection.scalar(select(Batch.tenant).where(Batch.id == batch_id))
    rows = [
        {
            "batch_id": batch_id,
            "seq": item.seq,
            "source": item.source,
            "line": line_of(str(tenant), str(item.source)),
            "status": FetchStatus.PENDING,
            "tries": 0,
        }
        for item in items
    ]
    connection.execute(_INSERT, rows)


def waiting(connection: Connection) -> list[str]:
    """Every line in which a fetch is pending, the longest due first."""
    return list(connection.scalars(_LINES))


def due(connection: Connection, limit: int, now: float, *, line: str | None = None) -> list[str]:
    """Ids of at most `limit` items whose fetch is due at `now`, the longest due first; of one line if named."""
    found = select(Fetch.batch_id, Fetch.seq).where(_is_due(now))
    if line is not None:
        found = found.where(Fetch.line == line)
    rows = connection.execute(found.order_by(Fetch.due_at, Fetch.batch_id, Fetch.seq).limit(limit))
    return [item_id(batch_id, seq) for batch_id, seq in rows]


def is_any_held(connection: Connection) -> bool:
    """Whether a process holds a claim of any fetch: while fetches are due, a live one holds some at every moment."""
    held = (
        select(Fetch.seq).where(is_pending(Fetch), Fetch.token.is_not(None), Fetch.due_at > clock()).limit(1)
    )
    return connection.scalar(held) is not None


def _is_due(now: float) -> ColumnElement[bool]:
    # A time beyond any wait was set under a clock that has jumped back since.
    is_time = or_(Fetch.due_at <= now, Fetch.due_at > now + _BEYOND_ANY_WAIT_S)
    return and_(is_pending(Fetch), is_time)


def claim(connection: Connection, item: str, now: float, hold_s: float, token: str) -> Claimed | None:
    """Claim the fetch of an item for `hold_s` seconds, and count the try; None where it is not due.

    The claim gets the number of a pack of its own, so two holders never write one file.
    """
    batch_id, seq = split_item_id(item) or ("", 0)
    this = (Fetch.batch_id == batch_id, Fetch.seq == seq)
    row = connection.execute(
        update(Fetch)
        .where(*this, _is_due(now))
        .values(tries=Fetch.tries + 1, due_at=now + hold_s, token=token)
        .returning(Fetch.source, Fetch.tries, Fetch.pack)
    ).first()
    if row is None:
        return None
    packs, tenant, lane = connection.execute(_NEXT_PACK, {"in_batch": batch_id}).one()
    pack = FIRST_PACK + packs
    connection.execute(update(Fetch).where(*this).values(pack=pack))
    return Claimed(batch_id, seq, row.source, row.tries, token, tenant, lane, pack, row.pack)


def store(connection: Connection, held: Claimed, sha256: str, length: int, bounds: Bounds) -> bool | None:
    """Give an item its bytes and its chunk: they are `length` bytes in the pack of the claim, and durable.

    True where the chunk waits for a worker, False where it is held since the batch is paused. None, and nothing is
    written, where the claim was lost. Raises OverQuota, and the caller's transaction rolls back.
    """
    if connection.execute(delete(Fetch).where(_MINE), held._key).rowcount != 1:
        # The pack is this claim's alone: an item that names it was committed by a call whose answer was lost.
        mine = select(Item.seq).where(Item.batch_id == held.batch_id, Item.seq == held.seq)
        return None if connection.scalar(mine.where(Item.pack == held.pack)) is None else True
    written = connection.execute(
        update(Item)
        .where(Item.batch_id == held.batch_id, Item.seq == held.seq, Item.status == ItemStatus.QUEUED)
        .values(pack=held.pack, offset=0, length=length, sha256=sha256)
    ).rowcount
    if written != 1:
        raise AssertionError(f"item {held.seq} of {held.batch_id} has a fetch and is not queued")
    queue_runs(connection, held.batch_id, [(held.seq, held.pack)], held.lane)
    row = connection.execute(
        update(Batch)
        .where(Batch.id == held.batch_id)
        .values(bytes=Batch.bytes + length)
        .returning(Batch.status, Batch.sealed)
    ).one()
    is_paused = row.status == BatchStatus.PAUSED
    if is_paused:
        # The batch is locked now, so no resume comes in between.
        chunk = (Chunk.batch_id == held.batch_id, Chunk.first_seq == held.seq, Chunk.last_seq == held.seq)
        connection.execute(
            update(Chunk).where(*chunk, Chunk.status == ChunkStatus.QUEUED).values(status=ChunkStatus.HELD)
        )
    if row.sealed:  # otherwise the seal counts all bytes of the batch
        stored = quotas.add(connection, held.tenant, length, 0)
        if 0 < bounds.stored_bytes < stored.bytes:
            raise OverQuota(f"the quota `stored_bytes` of this tenant is {bounds.stored_bytes}")
    return not is_paused


def give_up(connection: Connection, held: Claimed, code: ItemErrorCode, detail: str) -> Recorded | None:
    """Fail the item of a fetch; None, and nothing is written, where the claim was lost.

    The row stays, so that a retry of the item fetches it again.
    """
    ended = update(Fetch).where(_MINE).values(status=FetchStatus.FAILED, token=None, pack=None)
    if connection.execute(ended, held._key).rowcount != 1:
        return None
    failed = connection.execute(
        update(Item)
        .where(Item.batch_id == held.batch_id, Item.seq == held.seq, Item.status == ItemStatus.QUEUED)
        .values(status=ItemStatus.FAILED, error_code=code, error_detail=detail, finished_at=clock())
    ).rowcount
    row = connection.execute(
        update(Batch)
        .where(Batch.id == held.batch_id)
        .values(queued=Batch.queued - failed, failed=Batch.failed + failed, version=Batch.version + 1)
        .returning(Batch.queued + Batch.processing, Batch.on_error)
    ).one()
    deliveries = parts.complete(connection, held.batch_id, (held.seq, held.seq))
    if failed:
        told_items.add_failures(connection, held.batch_id, [(held.seq, held.seq)])
        tallies.add(connection, {tallies.Key(tallies.FAILURES, code): tallies.Sum(failed)})
    return Recorded(held.batch_id, row[0], row[1] == "abort", deliveries)


def put_off(connection: Connection, held: Claimed, due_at: float, *, counted: bool = True) -> bool:
    """End a claim without a result: another try is due later. `counted=False` takes back the count of this try.

    False where the claim was lost.
    """
    values = {"due_at": due_at, "token": None, "tries": Fetch.tries - (0 if counted else 1)}
    return connection.execute(update(Fetch).where(_MINE).values(values), held._key).rowcount == 1


def hold(connection: Connection, batch_id: str) -> None:
    """Begin no further fetch of a batch that is paused; one under way may end."""
    _move(connection, batch_id, FetchStatus.PENDING, FetchStatus.HELD)


def release(connection: Connection, batch_id: str) -> None:
    """Go on with the fetches of a batch that is no longer paused."""
    _move(connection, batch_id, FetchStatus.HELD, FetchStatus.PENDING)


def _move(connection: Connection, batch_id: str, before: FetchStatus, after: FetchStatus) -> None:
    waiting = (Fetch.batch_id == batch_id, Fetch.status == before)
    connection.execute(update(Fetch).where(*waiting).values(status=after))


def drop(connection: Connection, batch_id: str) -> None:
    """Fetch no more for a batch whose queued items close; the token of a fetch under way goes with its row."""
    open_ones = Fetch.status.in_([FetchStatus.PENDING, FetchStatus.HELD])
    connection.execute(delete(Fetch).where(Fetch.batch_id == batch_id, open_ones))


def again(connection: Connection, batch_id: str) -> None:
    """Fetch the items of a batch again whose fetch had failed, with as many tries as at first."""
    connection.execute(
        update(Fetch)
        .where(Fetch.batch_id == batch_id, Fetch.status == FetchStatus.FAILED)
        .values(status=FetchStatus.PENDING, tries=0, due_at=clock(), token=null())
    )
