"""Drafts to which nothing was added for long, and that were not finalized: deleted."""

from collections.abc import Sequence

from shared.contract.states import BatchStatus
from shared.lifecycle.purging import purge
from shared.store.tables import Batch
from worker.upkeep.site import Site
from worker.upkeep.steps.uploads import overdue

NAME = "drafts"
ABOUT = "drafts that were not finalized and got nothing more: deleted"


def find(site: Site, most: int) -> Sequence[str]:
    return overdue(site, NAME, Batch.status == BatchStatus.DRAFT, site.settings.draft_s)[:most]


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        purge(site.database, site.blobs, batch_id, counter="draft_expired")
