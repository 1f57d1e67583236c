"""Uploads whose web process died: removed. The client retries under the same idempotency key."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from shared.contract.states import BatchStatus
from shared.lifecycle.purging import purge
from shared.store.tables import Batch
from worker.upkeep.site import Site

NAME = "uploads"
ABOUT = "uploads that broke off: removed, the client sends them again"


def find(site: Site, most: int) -> Sequence[str]:
    return overdue(site, NAME, Batch.status != BatchStatus.DRAFT, site.settings.upload_lease_s)[:most]


def overdue(site: Site, name: str, kind: ColumnElement[bool], lease_s: float) -> list[str]:
    """Uploads of a kind past their lease; while the clock is in doubt, those whose lease is unchanged for as long."""
    query = select(Batch.id, Batch.upload_lease_until).where(Batch.sealed.is_(False), kind)
    with site.database.read() as connection:
        leases = {row.id: row.upload_lease_until for row in connection.execute(query)}
    unchanged = site.unchanged.seconds(name, dict(leases))
    now = site.clock.read()
    return [
        batch_id
        for batch_id, until in leases.items()
        if (now is not None and until is not None and until < now) or unchanged[batch_id] > lease_s
    ]


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        purge(site.database, site.blobs, batch_id, counter="upload_abandoned")
