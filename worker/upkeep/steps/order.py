"""Large batches that have ended: put in the order of their scores, and their histogram counted, for their pages."""

from collections.abc import Sequence

from shared.lifecycle import score_bins, score_order
from worker.upkeep.site import Site

NAME = "order"
ABOUT = "large batches that have ended: put in the order of their scores"


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        return score_order.asked(connection, most)


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        batch = score_order.make(site.database, batch_id)
        if batch is not None:
            score_bins.of(site.database, batch)
