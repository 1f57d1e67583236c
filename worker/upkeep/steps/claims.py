"""Idempotency keys held by an upload that broke off."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from shared.store.engine import clock
from shared.store.tables import Submission
from worker.upkeep.site import Site

NAME = "claims"
ABOUT = "idempotency keys held by an upload that broke off: free again"
_ENDED = (Submission.fingerprint.is_(None), Submission.lease_until < clock())


def find(site: Site, most: int) -> Sequence[tuple[str, str]]:
    """(tenant, key)."""
    query = select(Submission.tenant, Submission.key).where(*_ENDED).limit(most)
    with site.database.read() as connection:
        return [(row.tenant, row.key) for row in connection.execute(query)]


def mend(site: Site, found: Sequence[tuple[str, str]]) -> None:
    with site.database.write() as connection:
        connection.execute(delete(Submission).where(*_ENDED))
