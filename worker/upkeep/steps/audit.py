"""Audit entries kept past their time: removed from the beginning of their chain, whose anchor moves along."""

from collections.abc import Sequence

from shared.access import audit_chain
from worker.upkeep.site import Site

NAME = "audit"
ABOUT = "chains of the audit trail with entries past their retention: these are removed"


def find(site: Site, most: int) -> Sequence[int]:
    before = site.clock.now() - site.settings.audit_retention_s
    with site.database.read() as connection:
        return audit_chain.outlived(connection, before)[:most]


def mend(site: Site, found: Sequence[int]) -> None:
    before = site.clock.now() - site.settings.audit_retention_s
    for chain in found:
        with site.database.write() as connection:
            audit_chain.prune(connection, chain, before)
