"""Lines of which enough images wait for a look at drift."""

from collections.abc import Sequence

from shared.lifecycle import drift
from worker.upkeep.site import Site

NAME = "drift"
ABOUT = "lines of which enough images wait: compared with the reference of their model"


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        return drift.due(connection, site.settings.drift_window, most)


def mend(site: Site, found: Sequence[str]) -> None:
    for label in found:
        with site.database.write() as connection:
            deliveries = drift.look(connection, label, site.settings.drift_window)
        for delivery_id in deliveries:
            site.tell.delivery_owed(delivery_id)
