"""Chunks whose worker died: queued again, halved, or failed as poison (see shared.lifecycle.leases)."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.contract.states import ChunkStatus
from shared.lifecycle import leases
from shared.store.tables import Chunk
from worker.process import is_gone, place
from worker.upkeep.ending import end_batch
from worker.upkeep.site import Site

NAME = "leases"
ABOUT = "chunks held by a dead process or past their lease: put back into the queue"


def find(site: Site, most: int) -> Sequence[tuple[int, str | None]]:
    """(chunk, None) past its lease; (chunk, token) held by a process that is dead, whatever its lease says."""
    held = select(Chunk.id, Chunk.token, Chunk.host, Chunk.pid).where(
        Chunk.status == ChunkStatus.LEASED, Chunk.host == place()
    )
    with site.database.read() as connection:
        expired = leases.expired_leases(connection, most)
        dead = [row for row in connection.execute(held.limit(most)) if is_gone(row.host, row.pid)]
    found: dict[int, str | None] = dict.fromkeys(expired)
    return list((found | {row.id: row.token for row in dead if row.id not in found}).items())[:most]


def mend(site: Site, found: Sequence[tuple[int, str | None]]) -> None:
    for chunk_id, token in found:
        with site.database.write() as connection:
            if token is not None:
                leases.end_lease(connection, chunk_id, token)
            closed = leases.return_expired(connection, chunk_id, site.settings.max_attempts)
        if closed is not None:
            end_batch(site, closed)
