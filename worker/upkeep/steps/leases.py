"""Chunks whose worker died: queued again, halved, or failed as poison (see shared.lifecycle.leases)."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.contract.states import ChunkStatus
from shared.lifecycle import leases
from shared.store.tables import Chunk
from worker.process import is_gone
from worker.upkeep.ending import end_batch
from worker.upkeep.site import Site

NAME = "leases"
ABOUT = "chunks held by a dead process or past their lease: put back into the queue"


def find(site: Site, most: int) -> Sequence[tuple[int, str, float]]:
    """(chunk, token, end) of leases that have ended, that were not renewed for their length, or whose process is dead.

    The second needs no wall clock. It counts while the clock is in doubt, and for a lease that was taken under a clock
    that ran ahead.
    """
    query = select(Chunk.id, Chunk.token, Chunk.lease_until, Chunk.host, Chunk.pid).where(
        Chunk.status == ChunkStatus.LEASED
    )
    with site.database.read() as connection:
        held = connection.execute(query.order_by(Chunk.lease_until)).all()
    unchanged = site.unchanged.seconds(NAME, {row.id: (row.token, row.lease_until) for row in held})
    now = site.clock.read()
    return [
        (row.id, row.token, row.lease_until)
        for row in held
        if (now is not None and row.lease_until < now)
        or unchanged[row.id] > site.settings.lease_s
        or is_gone(row.host, row.pid)
    ][:most]


def mend(site: Site, found: Sequence[tuple[int, str, float]]) -> None:
    for chunk_id, token, until in found:
        with site.database.write() as connection:
            leases.end_lease(connection, chunk_id, token, until)
            closed = leases.return_expired(connection, chunk_id, site.settings.max_attempts)
        if closed is not None:
            end_batch(site, closed)
