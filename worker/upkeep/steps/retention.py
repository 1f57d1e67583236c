"""Batches kept past their time: removed."""

from collections.abc import Sequence

from sqlalchemy import exists, select

from shared.contract.states import DeliveryStatus
from shared.lifecycle.purging import purge
from shared.store.tables import Batch, Delivery
from worker.upkeep.site import Site

NAME = "retention"
ABOUT = "batches kept past their time: removed"
# A receiver may ask for the batch of its message, so a batch stays until its deliveries are made or given up.
_OWES = exists().where(Delivery.batch_id == Batch.id, Delivery.status == DeliveryStatus.PENDING)


def find(site: Site, most: int) -> Sequence[str]:
    now = site.clock.now()
    outlived = select(Batch.id).where(Batch.retain_until < now, ~_OWES)  # NULL before the batch has ended
    with site.database.read() as connection:
        return connection.scalars(outlived.limit(most)).all()


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        purge(site.database, site.blobs, batch_id, base=site.settings.public_base, counter="retention_over")
