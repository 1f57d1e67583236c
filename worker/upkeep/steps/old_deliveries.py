"""Deliveries of events about no batch, kept past their time: removed. The others go with their batch."""

from collections.abc import Sequence

from shared.webhooks import again
from worker.upkeep.site import Site

NAME = "old deliveries"
ABOUT = "webhook deliveries of events about no batch, kept past their time: removed"


def find(site: Site, most: int) -> Sequence[str]:
    outlived = again.outlived(site.clock.now() - site.settings.retention_s)
    with site.database.read() as connection:
        return connection.scalars(outlived.limit(most)).all()


def mend(site: Site, found: Sequence[str]) -> None:
    with site.database.write() as connection:
        again.forget(connection, found)
