"""Images that a model version has judged before for the same tenant: their scores serve again, without inference.

The table holds no score, only which item has it. So a deleted batch takes its scores with it, and a rescoring, which
changes verdicts alone, changes none of this: the verdict is decided again at the operating point of the new batch.

The last record of a batch notes the batch's first images, and the sweep notes the others. A random insert for each
verdict costs 10 to 20 µs; many sorted ones at once cost 3 to 6 µs (docs/decisions/0023).
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from shared.contract.states import ItemStatus
from shared.store.tables import Batch, Chunk, Item, KnownImage

AT_END = 2000  # items that the last record of a batch notes: some 10 ms
AT_ONCE = 5000  # items of one transaction of the sweep: on SQLite, other writers wait meanwhile

_FRAME = func.coalesce(Item.frame, 0)
_OF_BATCH = {
    name: select(column).where(Batch.id == bindparam("in_batch")).scalar_subquery()
    for name, column in (("tenant", Batch.tenant), ("model_id", Batch.model_id))
}
# Whether an item of the batch `in_batch` may be known. The reader of its score looks again.
IS_KNOWN = exists().where(
    KnownImage.tenant == _OF_BATCH["tenant"],
    KnownImage.model_id == _OF_BATCH["model_id"],
    KnownImage.content == Item.sha256,
    KnownImage.frame == _FRAME,
)
# The first AT_END items of a batch are known once its last open item is recorded.
NOTED = case(
    (
        and_(Batch.sealed.is_(True), Batch.queued + Batch.processing == bindparam("n")),
        case((Batch.total < bindparam("notes"), Batch.total), else_=bindparam("notes")),
    ),
    else_=Batch.known_seq,
)
_JUDGED = aliased(Item)
_SCORES = (
    select(
        Item.seq,
        _JUDGED.batch_id,
        _JUDGED.seq,
        _JUDGED.verdict,
        _JUDGED.score,
        _JUDGED.raw_score,
        _JUDGED.unfamiliarity,
        _JUDGED.reasons,
        _JUDGED.kind,
        _JUDGED.judge_id,
    )
    .join(Batch, Batch.id == Item.batch_id)
    .join(
        KnownImage,
        and_(
            KnownImage.tenant == Batch.tenant,
            KnownImage.model_id == Batch.model_id,
            KnownImage.content == Item.sha256,
            KnownImage.frame == _FRAME,
        ),
    )
    .join(_JUDGED, and_(_JUDGED.batch_id == KnownImage.batch_id, _JUDGED.seq == KnownImage.seq))
    .where(
        Item.batch_id == bindparam("in_batch"),
        Item.seq.between(bindparam("first"), bindparam("last")),
        _JUDGED.status == ItemStatus.SUCCEEDED,
        _JUDGED.score.is_not(None),
    )
)
_COLUMNS = ("tenant", "model_id", "content", "frame", "batch_id", "seq")
# In the order of the key, so that no two transactions wait for each other. A score that was itself taken from another
# item is not noted: each entry leads to the item that was judged.
_JUDGED_HERE = (
    select(Batch.tenant, Batch.model_id, Item.sha256, _FRAME, Item.batch_id, Item.seq)
    .join(Batch, Batch.id == Item.batch_id)
    .where(
        Item.batch_id.in_(bindparam("batches", expanding=True)),
        Item.seq >= bindparam("first"),
        Item.seq < bindparam("stop"),
        Item.status == ItemStatus.SUCCEEDED,
        Item.cached_from.is_(None),
        Item.sha256.is_not(None),
        Item.score.is_not(None),
    )
    .order_by(Batch.tenant, Batch.model_id, Item.sha256, _FRAME)
)
_NOTE = {
    "sqlite": sqlite.insert(KnownImage).from_select(_COLUMNS, _JUDGED_HERE).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(KnownImage).from_select(_COLUMNS, _JUDGED_HERE).on_conflict_do_nothing(),
}
# A purge deletes the chunks of its batch before the entries, so it waits for this lock, and then finds the entries.
_LOCK = select(Chunk.id).where(Chunk.batch_id == bindparam("in_batch")).order_by(Chunk.id).limit(1)
_FAR = select(Batch.known_seq, Batch.total).where(
    Batch.id == bindparam("in_batch"), Batch.finished_at.is_not(None)
)
_GET_ON = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"), Batch.known_seq == bindparam("was"))
    .values(known_seq=bindparam("stop"))
)
_UNKNOWN = select(Batch.id).where(Batch.finished_at.is_not(None), Batch.known_seq < Batch.total)
_FORGET = delete(KnownImage).where(
    KnownImage.tenant == _OF_BATCH["tenant"],
    KnownImage.model_id == _OF_BATCH["model_id"],
    KnownImage.content.in_(select(Item.sha256).where(Item.batch_id == bindparam("in_batch"))),
    KnownImage.batch_id == bindparam("in_batch"),
)


class Score(NamedTuple):
    """The score of the same bytes: `seq` is the item that takes it, `of_batch` and `of_seq` the one that was judged."""

    seq: int
    of_batch: str
    of_seq: int
    verdict: str
    score: float
    raw_score: float | None
    unfamiliarity: float | None
    reasons: str | None
    kind: str | None
    judge_id: int | None


def scores(connection: Connection, batch_id: str, first: int, last: int) -> list[Score]:
    """The known scores of the items from place `first` to `last`."""
    rows = connection.execute(_SCORES, {"in_batch": batch_id, "first": first, "last": last})
    return [Score._make(row) for row in rows]


def note(connection: Connection, batch_ids: Sequence[str], first: int = 0, stop: int = AT_END) -> None:
    """Note the judged items of places first..stop-1, in one statement for all batches, and last in its transaction.

    An image that is known already keeps its entry. The caller holds the lock of a chunk of each batch.
    """
    given = {"batches": list(batch_ids), "first": first, "stop": stop}
    connection.execute(_NOTE[connection.dialect.name], given)


def unknown(connection: Connection, most: int) -> list[str]:
    """Ended batches of which some items have not been noted."""
    return list(connection.scalars(_UNKNOWN.limit(most)))


def note_more(connection: Connection, batch_id: str) -> bool:
    """Note the next items of an ended batch; False if none is left, or the batch is gone or runs."""
    connection.execute(_LOCK.with_for_update(), {"in_batch": batch_id})
    row = connection.execute(_FAR, {"in_batch": batch_id}).first()
    if row is None or row.known_seq >= row.total:
        return False
    stop = min(row.total, row.known_seq + AT_ONCE)
    note(connection, [batch_id], row.known_seq, stop)
    connection.execute(_GET_ON, {"in_batch": batch_id, "was": row.known_seq, "stop": stop})
    return bool(stop < row.total)


def forget(connection: Connection, batch_id: str) -> None:
    """Delete the entries that lead to a batch; its rows must still be there, except its chunks."""
    connection.execute(_FORGET, {"in_batch": batch_id})
