"""Batches whose lane no live worker serves: they say so, and cease to say it once a worker does."""

from collections.abc import Sequence

from shared.lifecycle import blocked, workers
from worker.upkeep.site import Site

NAME = "unserved"
ABOUT = "batches whose lane no live worker serves: marked as blocked, until a worker does"
_LEASES = 3  # a stack that starts, or a worker that is replaced, is not yet a blocked batch
_DETAIL = "no live worker serves this batch's lane: start one, or cancel the batch"


def find(site: Site, most: int) -> Sequence[tuple[str, bool]]:
    """(batch, False) to be marked; (batch, True) marked, and its lane is served again."""
    lease_s = site.settings.lease_s
    with site.database.read() as connection:
        served = workers.served_lanes(connection, lease_s)
        waiting = blocked.unserved(connection, served, _LEASES * lease_s, most)
        again = blocked.served_again(connection, served, most)
    return [*((batch_id, False) for batch_id in waiting), *((batch_id, True) for batch_id in again)]


def mend(site: Site, found: Sequence[tuple[str, bool]]) -> None:
    for batch_id, is_served in found:
        with site.database.write() as connection:
            if is_served:
                blocked.unblock(connection, batch_id, blocked.NO_WORKER)
            else:
                blocked.block(connection, batch_id, blocked.NO_WORKER, _DETAIL)
