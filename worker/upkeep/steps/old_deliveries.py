"""Deliveries that belong to no batch, kept past their time: removed. The others go with their batch."""

from collections.abc import Sequence

from shared.webhooks import again
from worker.upkeep.site import Site

NAME = "old deliveries"
ABOUT = "webhook deliveries that belong to no batch, kept past their time: removed"


def find(site: Site, most: int) -> Sequence[str]:
    before = site.clock.now() - site.settings.retention_s
    with site.database.read() as connection:
        return again.outlived(connection, before, most)


def mend(site: Site, found: Sequence[str]) -> None:
    with site.database.write() as connection:
        again.forget(connection, found)
