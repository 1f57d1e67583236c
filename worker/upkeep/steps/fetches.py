"""Fetches of images that are due and have no message."""

from collections.abc import Sequence

from shared.broker import messages, queues
from shared.lifecycle import fetches
from shared.store.engine import database_time
from worker.upkeep.site import Site

_WAKING = 4
NAME = "fetches"
ABOUT = "fetches of images that are due without a message to a worker: sent again"


def find(site: Site, most: int) -> Sequence[str]:
    """Items with a due fetch; none while a message waits in the queue, since it wakes a worker for all of them."""
    with site.database.read() as connection:
        due = fetches.due(connection, most, database_time(connection))
    return [] if due and site.broker.length(queues.FETCHES) else due


def mend(site: Site, found: Sequence[str]) -> None:
    """Wake the workers: each message makes one look at all due fetches, so a few are enough."""
    for _ in found[:_WAKING]:
        messages.send(site.celery, queues.FETCH, [], queues.FETCHES)
