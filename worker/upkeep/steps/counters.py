"""Batches whose counters differ from their items. That is a fault of the product, so the sweep only tells of it."""

import logging
from collections.abc import Sequence

from sqlalchemy import select

from shared.lifecycle import counters
from shared.lifecycle.recount import recount, suspects
from shared.store.engine import clock
from shared.store.tables import Batch
from worker.upkeep.site import Site

NAME = "counters"
ABOUT = "batches whose counters differ from their items: set to what is counted"
_RECOUNTED_ITEMS = 20_000  # a larger batch takes too long for a look that the sweep repeats
log = logging.getLogger(__name__)


def find(site: Site, most: int) -> Sequence[str]:
    """By one pass over all items; then each suspect under its lock."""
    with site.database.read() as connection:
        found = suspects(connection)
    return [batch_id for batch_id in found if _differences(site, batch_id)][:most]


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        with site.database.write() as connection:
            recount(connection, batch_id, mend=True)


def tell(site: Site, most: int, within_s: float) -> None:
    """Count and log each batch, of the newest `most` that ended within so many seconds, whose counters differ."""
    newest = (
        select(Batch.id, (Batch.finished_at > clock() - within_s).label("just_ended"), Batch.total)
        .order_by(Batch.id.desc())
        .limit(most)
    )
    with site.database.read() as connection:
        rows = connection.execute(newest).all()
    for row in rows:
        if row.just_ended and row.total <= _RECOUNTED_ITEMS and (wrong := _differences(site, row.id)):
            with site.database.write() as connection:
                counters.count(connection, "miscounted")
            log.error("the counters of %s differ from its items: %s", row.id, wrong)


def _differences(site: Site, batch_id: str) -> dict[str, tuple[int, int]]:
    with site.database.write() as connection:
        return recount(connection, batch_id)
