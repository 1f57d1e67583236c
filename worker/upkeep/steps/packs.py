"""Packs that a batch names and the store lacks."""

from collections.abc import Sequence

from sqlalchemy import bindparam, exists, select

from shared.store.tables import Chunk, Item
from worker.upkeep.site import Site

NAME = "bytes"
ABOUT = "packs that a batch names and the store lacks: restore them from a backup; items still open fail"
_HAS_BYTES = select(
    exists().where(Item.batch_id == bindparam("in_batch"), Item.pack == bindparam("in_pack"), Item.length > 0)
)


def find(site: Site, most: int) -> Sequence[tuple[str, int]]:
    """(batch, pack)."""
    with site.database.read() as connection:
        named = connection.execute(select(Chunk.batch_id, Chunk.pack).distinct()).all()
        # Images that were refused or not fetched have a chunk, and no bytes.
        return [
            (batch_id, pack)
            for batch_id, pack in named
            if not site.blobs.pack_path(batch_id, pack).exists()
            and connection.scalar(_HAS_BYTES, {"in_batch": batch_id, "in_pack": pack})
        ][:most]
