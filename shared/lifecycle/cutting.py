"""Held chunks are cut smaller before their release, if their lane turns out to want smaller ones."""

from sqlalchemy import Connection, bindparam, insert, select, update

from shared.contract.states import ChunkStatus
from shared.store.records import ChunkRecord
from shared.store.tables import Chunk

_HELD = (
    select(Chunk.__table__)
    .where(Chunk.batch_id == bindparam("in_batch"), Chunk.status == ChunkStatus.HELD)
    .order_by(Chunk.first_seq)
)
_SHORTEN = update(Chunk).where(Chunk.id == bindparam("chunk")).values(last_seq=bindparam("new_last"))


def cut(connection: Connection, batch_id: str, most_items: int) -> None:
    """Cut the held chunks of a batch into chunks of at most `most_items` items."""
    held = [ChunkRecord._make(row) for row in connection.execute(_HELD, {"in_batch": batch_id})]
    long = [chunk for chunk in held if chunk.size > most_items]
    if not long:
        return
    connection.execute(
        _SHORTEN, [{"chunk": chunk.id, "new_last": chunk.first_seq + most_items - 1} for chunk in long]
    )
    copied = ("batch_id", "pack", "lane", "status", "attempts", "enqueued_at", "tenant", "place")
    connection.execute(
        insert(Chunk),
        [
            {name: getattr(chunk, name) for name in copied}
            | {"first_seq": first, "last_seq": min(first + most_items - 1, chunk.last_seq)}
            for chunk in long
            for first in range(chunk.first_seq + most_items, chunk.last_seq + 1, most_items)
        ],
    )
