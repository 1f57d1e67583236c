"""Uploaded model versions whose trial has no message, or died."""

from collections.abc import Sequence

from shared.broker import messages, queues
from shared.registry import trials
from worker.upkeep.site import Site

NAME = "trials"
ABOUT = "uploaded model versions whose trial was lost: tried again"


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        return trials.due(connection, most, overdue_s=site.settings.republish_s)


def mend(site: Site, found: Sequence[str]) -> None:
    for model_id in found:
        messages.send(site.celery, queues.TRIAL, [model_id], queues.UPKEEP)
