"""Ending a batch on behalf of a process that died."""

from shared.lifecycle import counters, endings
from worker.upkeep.site import Site


def end_batch(site: Site, batch_id: str) -> None:
    """End a batch that has no open item, send the webhook it owes, and count that the sweep had to."""
    if endings.end(site.database, site.tell, [batch_id]):
        with site.database.write() as connection:
            counters.count(connection, "completed_by_sweep")
