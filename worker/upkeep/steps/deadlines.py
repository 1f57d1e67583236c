"""Batches past their deadline: their queued items expire."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.lifecycle import closing
from shared.store.tables import Batch
from worker.upkeep.ending import end_batch
from worker.upkeep.site import Site

NAME = "deadlines"
ABOUT = "batches past their deadline with items waiting: these expire"
_OPEN = (Batch.finished_at.is_(None), Batch.queued > 0, Batch.sealed.is_(True))


def find(site: Site, most: int) -> Sequence[str]:
    now = site.clock.now()
    with site.database.read() as connection:
        return connection.scalars(select(Batch.id).where(*_OPEN, Batch.deadline_at < now).limit(most)).all()


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        with site.database.write() as connection:
            closing.expire(connection, batch_id)
        end_batch(site, batch_id)
