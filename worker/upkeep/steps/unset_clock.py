"""Batches from before the clock was set for the first time (see shared.lifecycle.unset_clock)."""

from collections.abc import Sequence

from shared.clock import FIRST_MOMENT
from shared.lifecycle import unset_clock
from worker.upkeep.site import Site

NAME = "unset_clock"
ABOUT = "batches from before the clock was set: their retention and deadline begin now"


def find(site: Site, most: int) -> Sequence[str]:
    if site.clock.now() < FIRST_MOMENT:
        return []
    with site.database.read() as connection:
        return unset_clock.undated(connection, most)


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        with site.database.write() as connection:
            unset_clock.date(connection, batch_id)
