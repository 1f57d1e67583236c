"""Batches whose last worker died between record and complete."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.store.tables import Batch
from worker.upkeep.ending import end_batch
from worker.upkeep.site import Site

NAME = "completion"
ABOUT = "batches with no open item that were not ended: ended, their webhook is owed"
_NOT_ENDED = select(Batch.id).where(
    Batch.finished_at.is_(None), Batch.sealed.is_(True), Batch.queued + Batch.processing == 0
)


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        return connection.scalars(_NOT_ENDED.limit(most)).all()


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        end_batch(site, batch_id)
