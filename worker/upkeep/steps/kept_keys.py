"""Idempotency keys whose batch was deleted a day ago."""

from collections.abc import Sequence

from shared.lifecycle import idempotency
from worker.upkeep.site import Site

NAME = "kept_keys"
ABOUT = "idempotency keys of batches that were deleted a day ago: free again"


def find(site: Site, most: int) -> Sequence[tuple[str, str]]:
    """(tenant, key)."""
    now = site.clock.now()
    with site.database.read() as connection:
        return idempotency.outlived(connection, now, most)


def mend(site: Site, found: Sequence[tuple[str, str]]) -> None:
    with site.database.write() as connection:
        idempotency.forget(connection, found)
