"""Idempotency keys held by an upload that broke off."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from shared.store.tables import Submission
from worker.upkeep.site import Site

NAME = "claims"
ABOUT = "idempotency keys held by an upload that broke off: free again"


def find(site: Site, most: int) -> Sequence[tuple[str, str, float]]:
    """(tenant, key, end of its lease). While the clock is in doubt, those whose lease stays unchanged for its length:
    a key that is free while its upload runs would let a retry make a second batch."""
    query = select(Submission.tenant, Submission.key, Submission.lease_until).where(
        Submission.fingerprint.is_(None)
    )
    with site.database.read() as connection:
        held = [(row.tenant, row.key, row.lease_until) for row in connection.execute(query)]
    unchanged = site.unchanged.seconds(NAME, {(tenant, key): until for tenant, key, until in held})
    now, lease_s = site.clock.read(), site.settings.upload_lease_s
    return [
        (tenant, key, until)
        for tenant, key, until in held
        if (now is not None and until < now) or unchanged[tenant, key] > lease_s
    ][:most]


def mend(site: Site, found: Sequence[tuple[str, str, float]]) -> None:
    with site.database.write() as connection:
        for tenant, key, until in found:
            held = (Submission.tenant == tenant, Submission.key == key, Submission.lease_until == until)
            connection.execute(delete(Submission).where(*held, Submission.fingerprint.is_(None)))
