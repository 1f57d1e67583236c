"""Verdicts are told in the order of their chunks, at most a hundred in a message.

A message is full, or its first verdict has waited for `PATIENCE_S`, or the batch has ended. See
`shared.lifecycle.telling`, whose transaction this is.
"""

from collections.abc import Sequence
from itertools import accumulate

from sqlalchemy import Connection, Integer, and_, bindparam, cast, insert, literal, select, update
from sqlalchemy.orm import aliased

from shared.contract.events import DEFECT_DETECTED, ITEMS_COMPLETED, REVIEW_REQUIRED
from shared.contract.items import item_payload
from shared.contract.pages import page
from shared.contract.states import ChunkStatus, ItemStatus, Verdict
from shared.ids import item_id
from shared.lifecycle import judged, judges
from shared.lifecycle.judges import Judges
from shared.store.engine import clock
from shared.store.records import BatchRecord, ChunkRecord, ItemRecord
from shared.store.tables import Batch, Chunk, Item
from shared.webhooks import owed, receivers
from shared.webhooks.owed import Event
from shared.webhooks.receivers import Content

MOST_ITEMS = 100  # in a message
PATIENCE_S = 1.0  # the process that tells may take as long again
_CHUNKS_AT_ONCE = MOST_ITEMS  # the chunk of a fetched image has one item: a message needs as many
_POSITIONS_AT_ONCE = 2000
_JUDGED = (ItemStatus.SUCCEEDED, ItemStatus.FAILED)
_OF_VERDICT = {DEFECT_DETECTED: Verdict.DEFECT, REVIEW_REQUIRED: Verdict.REVIEW}

_CHUNKS = (
    select(Chunk.__table__)
    .where(
        Chunk.batch_id == bindparam("in_batch"),
        Chunk.status == ChunkStatus.DONE,
        Chunk.told <= Chunk.last_seq - Chunk.first_seq,
    )
    .order_by(Chunk.id)
    .limit(_CHUNKS_AT_ONCE)
)
_newer = aliased(Chunk)
# Two chunks cover an item after a retry: the newer one tells it.
_COVERED = (
    select(Chunk.id, _newer.first_seq, _newer.last_seq)
    .join(
        _newer,
        and_(
            _newer.batch_id == Chunk.batch_id,
            _newer.first_seq <= Chunk.last_seq,
            _newer.last_seq >= Chunk.first_seq,
            _newer.id > Chunk.id,
        ),
    )
    .where(Chunk.id.in_(bindparam("chunks", expanding=True)))
)
_ITEMS = (
    select(*judged.columns())
    .join(Batch, Batch.id == Item.batch_id)
    .where(
        Item.batch_id == bindparam("in_batch"),
        Item.seq.between(bindparam("first"), bindparam("last")),
        Item.status.in_(_JUDGED),
    )
    .order_by(Item.seq)
)
# No worker claims such a chunk: it is there for its items to be told.
_ADD_DONE = insert(Chunk).from_select(
    ["batch_id", "tenant", "lane", "first_seq", "last_seq", "pack", "status", "attempts", "hand_backs",
     "enqueued_at", "place", "told"],
    select(Batch.id, Batch.tenant, Batch.lane, cast(bindparam("first"), Integer), cast(bindparam("last"), Integer),
           literal(0), literal(ChunkStatus.DONE.value), literal(0), literal(0), clock(), literal(0), literal(0))
    .where(Batch.id == bindparam("in_batch")),
)  # fmt: skip
_TOLD = update(Chunk).where(Chunk.id == bindparam("chunk")).values(told=bindparam("new_told"))


def add_failures(connection: Connection, batch_id: str, runs: Sequence[tuple[int, int]]) -> None:
    """Have the failed items first..last of each run told, which no chunk covers: refused images, failed fetches.

    In the transaction that writes the failures.
    """
    if runs:
        rows = [{"in_batch": batch_id, "first": first, "last": last} for first, last in runs]
        connection.execute(_ADD_DONE, rows)


def tell(connection: Connection, batch: BatchRecord, now: float) -> tuple[tuple[str, ...], bool, bool]:
    """The deliveries that are owed for items, whether untold chunks are left, and whether to tell of them at once."""
    found = [ChunkRecord._make(row) for row in connection.execute(_CHUNKS, {"in_batch": batch.id})]
    if not found:
        return (), False, False
    chunks = _first(found)
    items = _untold(connection, chunks)
    is_page = len(found) == _CHUNKS_AT_ONCE or len(chunks) < len(found)
    number = len(items) - len(items) % MOST_ITEMS
    is_late = number < len(items) and (items[number][1].finished_at or 0.0) <= now - PATIENCE_S
    # With more chunks to come, the rest is told with them, however late: a process that is behind sends full messages.
    if number == 0 if is_page else (is_late or batch.finished_at is not None):
        number = len(items)
    telling = [item for _, item in items[:number]]
    groups = [telling[first : first + MOST_ITEMS] for first in range(0, number, MOST_ITEMS)]
    deliveries = _owe(connection, batch, groups, judges.of(connection, telling)) if groups else ()
    # Chunks before that of the first item that is left are told; that one up to this item.
    stop = items[number] if number < len(items) else None
    moved = []
    for chunk in chunks:
        if stop is not None and chunk.id == stop[0]:
            moved.append({"chunk": chunk.id, "new_told": stop[1].seq - chunk.first_seq})
            break
        moved.append({"chunk": chunk.id, "new_told": chunk.size})
    connection.execute(_TOLD, moved)
    return deliveries, is_page or stop is not None, is_page


def _first(chunks: Sequence[ChunkRecord]) -> Sequence[ChunkRecord]:
    """The first chunks, as many as a transaction tells of."""
    for number, positions in enumerate(accumulate(chunk.size for chunk in chunks), 1):
        if positions >= _POSITIONS_AT_ONCE:
            return chunks[:number]
    return chunks


def _untold(connection: Connection, chunks: Sequence[ChunkRecord]) -> list[tuple[int, ItemRecord]]:
    """The judged items of chunks that have not been told, each with its chunk, in the order of the chunks."""
    covered: dict[int, list[tuple[int, int]]] = {}
    for chunk_id, first, last in connection.execute(_COVERED, {"chunks": [chunk.id for chunk in chunks]}):
        covered.setdefault(chunk_id, []).append((first, last))
    found = []
    for chunk in chunks:
        within = {
            "in_batch": chunk.batch_id,
            "first": chunk.first_seq + chunk.told,
            "last": chunk.last_seq,
        }
        for row in connection.execute(_ITEMS, within):
            item = ItemRecord._make(row)
            if not any(first <= item.seq <= last for first, last in covered.get(chunk.id, ())):
                found.append((chunk.id, item))
    return found


def _owe(
    connection: Connection, batch: BatchRecord, groups: Sequence[Sequence[ItemRecord]], known: Judges
) -> tuple[str, ...]:
    """Owe the messages about groups of items, and those about each of them."""
    deliveries: tuple[str, ...] = ()
    for receiver in receivers.of(connection, batch.tenant, ITEMS_COMPLETED, batch):
        messages = []
        for group in groups:
            wanted = [item for item in group if receiver.takes(_content(batch, item))]
            if wanted:
                at = max(item.finished_at or 0.0 for item in wanted)
                data = {**page([item_payload(item, known) for item in wanted], None)}
                messages.append(Event(ITEMS_COMPLETED, data, at, item_id(batch.id, group[0].seq)))
        deliveries += owed.owe(connection, [receiver], messages, batch.tenant, batch)
    for name, verdict in _OF_VERDICT.items():
        found = [item for group in groups for item in group if item.verdict == verdict]
        if found and (to := receivers.of(connection, batch.tenant, name, batch)):
            deliveries += owed.owe(connection, to, _each(batch, name, found, known), batch.tenant, batch)
    return deliveries


def _each(batch: BatchRecord, name: str, items: Sequence[ItemRecord], known: Judges) -> list[Event]:
    made = []
    for item in items:
        data = item_payload(item, known)
        made.append(Event(name, data, item.finished_at or 0.0, data["id"], _content(batch, item)))
    return made


def _content(batch: BatchRecord, item: ItemRecord) -> Content:
    noted = {**batch.metadata, **(item.metadata or {})}
    return Content([item.verdict] if item.verdict else [], batch.line, noted)
