"""Packs that a batch names and the store lacks."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.store.tables import Chunk
from worker.upkeep.site import Site

NAME = "bytes"
ABOUT = "packs that a batch names and the store lacks: restore them from a backup; items still open fail"


def find(site: Site, most: int) -> Sequence[tuple[str, int]]:
    """(batch, pack)."""
    with site.database.read() as connection:
        named = connection.execute(select(Chunk.batch_id, Chunk.pack).distinct()).all()
    return [
        (batch_id, pack) for batch_id, pack in named if not site.blobs.pack_path(batch_id, pack).exists()
    ][:most]
