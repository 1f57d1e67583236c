"""Ending and removing a batch on behalf of a process that died."""

from shared.broker.wake import wake
from shared.lifecycle import counters, endings
from worker.upkeep.site import Site


def end_batch(site: Site, batch_id: str) -> None:
    """Complete a batch that has no open item. The deliveries step sends the webhook it owes."""
    with site.database.write() as connection:
        completed = endings.complete(connection, batch_id)
    if completed is not None:
        with site.database.write() as connection:
            counters.count(connection, "completed_by_sweep")
        wake(site.broker, batch_id)


def remove_batch(site: Site, batch_id: str, event: str) -> None:
    """Delete the rows of a batch, then its bytes, and count `event`."""
    with site.database.write() as connection:
        gone = endings.purge(connection, batch_id)
    if gone:
        site.blobs.delete_batch(batch_id)
        with site.database.write() as connection:
            counters.count(connection, event)
