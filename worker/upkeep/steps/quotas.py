"""Tenants whose count of stored bytes or items differs from their batches."""

import logging
from collections.abc import Sequence

from shared.access import quotas
from worker.upkeep.site import Site

NAME = "quotas"
ABOUT = "tenants whose count of stored bytes or items differs from their batches: set to what is counted"
log = logging.getLogger(__name__)


def find(site: Site, most: int) -> Sequence[str]:
    """By one pass over all batches; then each suspect under its lock."""
    with site.database.read() as connection:
        suspects = quotas.suspects(connection)
    return [tenant for tenant in suspects if _differs(site, tenant)][:most]


def mend(site: Site, found: Sequence[str]) -> None:
    for tenant in found:
        with site.database.write() as connection:
            wrong = quotas.recount(connection, tenant, mend=True)
        if wrong is not None:
            said, counted = wrong
            log.error("tenant %r was said to store %s, it stores %s", tenant, said, counted)


def _differs(site: Site, tenant: str) -> bool:
    with site.database.write() as connection:
        return quotas.recount(connection, tenant) is not None
