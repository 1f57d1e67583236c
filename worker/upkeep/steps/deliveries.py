"""Webhook deliveries that are due and have no message."""

from collections.abc import Sequence

from shared.broker import messages, queues
from shared.store.engine import database_time
from shared.webhooks import lines
from worker.upkeep.site import Site

_WAKING = 16
NAME = "deliveries"
ABOUT = "webhook deliveries that are due without a message to a worker: sent again"


def find(site: Site, most: int) -> Sequence[str]:
    """Due deliveries, less the messages in the queue."""
    with site.database.read() as connection:
        due = lines.due(connection, most, database_time(connection))
    return due[: max(0, len(due) - site.broker.length(queues.WEBHOOKS))] if due else []


def mend(site: Site, found: Sequence[str]) -> None:
    """Wake the workers: each message makes one look at all due deliveries, so a few are enough."""
    for delivery_id in found[:_WAKING]:
        messages.send(site.celery, queues.DELIVER, [delivery_id], queues.WEBHOOKS)
