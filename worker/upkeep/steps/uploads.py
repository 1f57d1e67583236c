"""Uploads whose web process died: removed. The client retries under the same idempotency key."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.lifecycle.purging import purge
from shared.store.engine import clock
from shared.store.tables import Batch
from worker.upkeep.site import Site

NAME = "uploads"
ABOUT = "uploads that broke off: removed, the client sends them again"
_ABANDONED = select(Batch.id).where(Batch.sealed.is_(False), Batch.upload_lease_until < clock())


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        return connection.scalars(_ABANDONED.limit(most)).all()


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        purge(site.database, site.blobs, batch_id, counter="upload_abandoned")
