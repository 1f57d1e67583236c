"""Webhook deliveries that are due and have no message."""

from collections.abc import Sequence

from shared.broker import messages, queues
from worker.upkeep.site import Site
from worker.webhooks.deliver import due

NAME = "deliveries"
ABOUT = "webhook deliveries that are due without a message to a worker: sent again"


def find(site: Site, most: int) -> Sequence[str]:
    """Due deliveries, less the messages in the queue."""
    owed = due(site.database, most)
    return owed[: max(0, len(owed) - int(site.broker.llen(queues.WEBHOOKS)))] if owed else []


def mend(site: Site, found: Sequence[str]) -> None:
    for delivery_id in found:
        messages.send(site.celery, queues.DELIVER, [delivery_id], queues.WEBHOOKS)
