"""Shadows: a candidate scores a share of the images that a model version has judged. Its scores are no verdicts.

The sweep lists the batches that ended since the shadow began. A worker takes a few images of a listed batch when no
image waits for its verdict. The claim moves the place of the batch on before the images are scored, so two workers
take different images, and an image that kills its worker is not tried again: a death costs the shadow a few scores.
The sample goes by a hash of the item's place (shared.lifecycle.sampling), so it is the same for each worker.

Transactions of this module lock in the order shadow, batches, listed batches, and a purge in the same order. `keep`
locks the shadow after its batch: it shares that lock with `list_batches`, so neither waits for the other.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, insert, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from shared.contract.states import ItemStatus
from shared.ids import new_id
from shared.lifecycle import sampling
from shared.store.engine import clock, database_time
from shared.store.shadow_records import ShadowRecord
from shared.store.tables import Batch, Chunk, Item, Shadow, ShadowBatch, ShadowScore

AT_ONCE = 8  # images of one claim
MOST = 10_000  # scores of one shadow: the report reads them all, and more make its limits little narrower
_LOOK = 500  # places that one claim looks at
_OVERLAP_S = 60.0  # a batch may commit its end later than another that ended after it
SAMPLE = "shadow"
_ROWS = Shadow.__table__
# Named as literals, for the partial indexes. A chunk that another host works on does not need the processors here.
_QUEUED = select(Chunk.id).where(Chunk.status == literal_column("'queued'")).limit(1)
_LEASED_HERE = (
    select(Chunk.id)
    .where(Chunk.status == literal_column("'leased'"), Chunk.host == bindparam("on_host"))
    .limit(1)
)
_ENDED = (
    select(Batch.id, Batch.finished_at)
    .where(
        Batch.tenant == bindparam("of_tenant"),
        Batch.origin.in_(("batch", "predict")),  # named, for the index
        Batch.finished_at >= bindparam("since"),
        Batch.model_id == bindparam("of_model"),
        Batch.rerun_of.is_(None),
        ~exists().where(ShadowBatch.shadow_id == bindparam("of_shadow"), ShadowBatch.batch_id == Batch.id),
    )
    .order_by(Batch.finished_at)
    .limit(bindparam("most"))
)
_OPEN = (
    select(
        ShadowBatch.batch_id, ShadowBatch.shadow_id, ShadowBatch.next_seq, Shadow.candidate_id, Shadow.share
    )
    .join(Shadow, Shadow.id == ShadowBatch.shadow_id)
    .where(ShadowBatch.next_seq >= literal_column("0"), Shadow.stopped_at.is_(None))
    .order_by(ShadowBatch.batch_id, ShadowBatch.shadow_id)
    .limit(1)
)
_ITEMS = (
    select(Item.seq, Item.pack, Item.offset, Item.length, Item.frame, Item.status, Item.cached_from)
    .where(Item.batch_id == bindparam("in_batch"), Item.seq >= bindparam("first"))
    .order_by(Item.seq)
    .limit(_LOOK)
)
_MOVE = (
    update(ShadowBatch)
    .where(
        ShadowBatch.shadow_id == bindparam("of_shadow"),
        ShadowBatch.batch_id == bindparam("in_batch"),
        ShadowBatch.next_seq == bindparam("was"),
    )
    .values(next_seq=bindparam("then"))
)


class Stored(NamedTuple):
    """The place of an item's bytes."""

    seq: int
    pack: int
    offset: int
    length: int
    frame: int | None


class Taken(NamedTuple):
    """Images of one batch that a worker scores for a shadow."""

    shadow_id: str
    candidate_id: str
    batch_id: str
    items: tuple[Stored, ...]
    then: int  # the place of the batch after these images


class Scored(NamedTuple):
    seq: int
    verdict: str
    score: float


def start(
    connection: Connection, tenant: str, model_id: str, candidate_id: str, share: float, key_id: str | None
) -> tuple[ShadowRecord, bool]:
    """Start a shadow; the one of the same two versions that runs already is returned as it is, with False."""
    row = {
        "id": new_id("shd"), "tenant": tenant, "model_id": model_id, "candidate_id": candidate_id, "share": share,
        "started_at": clock(), "started_by": key_id, "seen_until": clock(), "scored": 0,
    }  # fmt: skip
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    running = select(_ROWS).where(
        Shadow.tenant == tenant, Shadow.model_id == model_id, Shadow.candidate_id == candidate_id,
        Shadow.stopped_at.is_(None),
    )  # fmt: skip
    while True:
        made = connection.execute(make(Shadow).values(row).on_conflict_do_nothing().returning(_ROWS)).first()
        if made is not None:
            return ShadowRecord._make(made), True
        # The row that was in the way may be stopped by now: then another try inserts.
        if (found := connection.execute(running).first()) is not None:
            return ShadowRecord._make(found), False


def stop(connection: Connection, shadow_id: str, key_id: str | None) -> bool:
    """End a shadow; its scores stay. False where it has ended before."""
    ended = {"stopped_at": clock(), "stopped_by": key_id}
    done = connection.execute(
        update(Shadow).where(Shadow.id == shadow_id, Shadow.stopped_at.is_(None)).values(ended)
    )
    connection.execute(
        delete(ShadowBatch).where(ShadowBatch.shadow_id == shadow_id, ShadowBatch.next_seq >= 0)
    )
    return done.rowcount == 1


def find(connection: Connection, tenant: str, shadow_id: str) -> ShadowRecord | None:
    row = connection.execute(select(_ROWS).where(Shadow.id == shadow_id, Shadow.tenant == tenant)).first()
    return None if row is None else ShadowRecord._make(row)


def running(connection: Connection) -> list[ShadowRecord]:
    """The shadows of all tenants that run."""
    return [
        ShadowRecord._make(row)
        for row in connection.execute(select(_ROWS).where(Shadow.stopped_at.is_(None)))
    ]


def ended(connection: Connection, shadow: ShadowRecord, most: int) -> list[tuple[str, float]]:
    """The batches that ended since the last look and are not listed, with the time of their end; at most so many."""
    given = {
        "of_tenant": shadow.tenant,
        "of_model": shadow.model_id,
        "of_shadow": shadow.id,
        "since": max(shadow.started_at, shadow.seen_until - _OVERLAP_S),
        "most": most,
    }
    return [(row.id, row.finished_at) for row in connection.execute(_ENDED, given)]


def list_batches(connection: Connection, shadow: ShadowRecord, most: int) -> None:
    """List these batches for the shadow, unless it was stopped meanwhile."""
    found = dict(ended(connection, shadow, most))
    if not found:
        return
    seen = update(Shadow).where(Shadow.id == shadow.id, Shadow.stopped_at.is_(None))
    if connection.execute(seen.values(seen_until=max(found.values()))).rowcount == 0:
        return
    # Locked, so that no purge leaves a listed batch behind.
    there = select(Batch.id).where(Batch.id.in_(found)).order_by(Batch.id)
    batch_ids = connection.scalars(there.with_for_update(key_share=True, read=True)).all()
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    rows = [{"shadow_id": shadow.id, "batch_id": batch_id, "next_seq": 0} for batch_id in batch_ids]
    if rows:
        connection.execute(make(ShadowBatch).on_conflict_do_nothing(), rows)


def waits(connection: Connection) -> bool:
    """Whether a shadow has a batch to go through."""
    return connection.execute(_OPEN).first() is not None


def verdict_waits(connection: Connection, host: str) -> bool:
    """Whether an image waits for its verdict: in a queue, or in the hand of a worker on this host."""
    return (
        connection.scalar(_QUEUED) is not None
        or connection.scalar(_LEASED_HERE, {"on_host": host}) is not None
    )


def take(connection: Connection) -> Taken | None:
    """The next images of the oldest batch that a shadow has to go through, perhaps none of them in its sample; None
    where there is no such batch, or another worker was first."""
    row = connection.execute(_OPEN).first()
    if row is None:
        return None
    found = connection.execute(_ITEMS, {"in_batch": row.batch_id, "first": row.next_seq}).all()
    seed = sampling.seed(row.batch_id, SAMPLE)
    chosen: list[Stored] = []
    then = -1
    for item in found:
        if len(chosen) == AT_ONCE:
            then = item.seq
            break
        is_judged = item.status == ItemStatus.SUCCEEDED and item.cached_from is None
        if is_judged and sampling.position(seed, item.seq) < row.share * sampling.P:
            chosen.append(Stored(*item[:5]))
    else:
        then = found[-1].seq + 1 if len(found) == _LOOK else -1
    given = {"of_shadow": row.shadow_id, "in_batch": row.batch_id, "was": row.next_seq, "then": then}
    if connection.execute(_MOVE, given).rowcount != 1:
        return None
    return Taken(row.shadow_id, row.candidate_id, row.batch_id, tuple(chosen), then)


def give_back(connection: Connection, taken: Taken, seq: int) -> None:
    """Give images from place `seq` on back, unless another worker has taken the next ones since."""
    given = {"of_shadow": taken.shadow_id, "in_batch": taken.batch_id, "was": taken.then, "then": seq}
    connection.execute(_MOVE, given)


def keep(connection: Connection, taken: Taken, scores: Sequence[Scored]) -> None:
    """Keep a candidate's scores, unless the batch was deleted meanwhile; the shadow stops at MOST scores."""
    locked = select(Batch.id).where(Batch.id == taken.batch_id).with_for_update(key_share=True, read=True)
    if not scores or connection.scalar(locked) is None:
        return
    shared = {"shadow_id": taken.shadow_id, "batch_id": taken.batch_id, "at": database_time(connection)}
    connection.execute(insert(ShadowScore), [{**shared, **score._asdict()} for score in scores])
    counted = update(Shadow).where(Shadow.id == taken.shadow_id)
    more = counted.values(scored=Shadow.scored + len(scores)).returning(Shadow.scored)
    if (connection.scalar(more) or 0) >= MOST:
        stop(connection, taken.shadow_id, None)


def forget(connection: Connection, batch_id: str) -> None:
    """Delete what shadows know of a batch whose row has been deleted in this transaction: no score comes after."""
    for table in (ShadowBatch, ShadowScore):
        connection.execute(delete(table).where(table.batch_id == batch_id))
