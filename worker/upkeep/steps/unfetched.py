"""Batches whose images no live process fetches: they say so, and cease to say it once one does."""

from collections.abc import Sequence

from shared.broker import queues
from shared.lifecycle import blocked, fetches
from worker.upkeep.site import Site

NAME = "unfetched"
ABOUT = "batches whose images no live process fetches: marked as blocked, until one does"
_LEASES = 3  # a stack that starts, or a process that is replaced, does not block a batch
_DETAIL = (
    "no live process fetches this batch's images: start `python -m worker webhooks` or `python -m worker fetch`, "
    "or cancel the batch"
)


def find(site: Site, most: int) -> Sequence[tuple[str, bool]]:
    """(batch, False) to be marked; (batch, True) marked, and its images are fetched again.

    A long line in front of a slow host makes a fetch late as well. So a batch is marked only where a message that wakes
    the processes lies in the queue, which a live one takes at once, and no process holds any claim.
    """
    with site.database.read() as connection:
        late = blocked.unfetched(connection, _LEASES * site.settings.lease_s, most)
        marked = blocked.marked(connection, blocked.NO_FETCHER, most)
        is_held = bool(late or marked) and fetches.is_any_held(connection)
    if not late and not marked:
        return []
    if not is_held and site.broker.length(queues.FETCHES):
        return [(batch_id, False) for batch_id in late]
    return [(batch_id, True) for batch_id in marked]


def mend(site: Site, found: Sequence[tuple[str, bool]]) -> None:
    for batch_id, is_fetched in found:
        with site.database.write() as connection:
            if is_fetched:
                blocked.unblock(connection, batch_id, blocked.NO_FETCHER)
            else:
                blocked.block(connection, batch_id, blocked.NO_FETCHER, _DETAIL)
