"""Open items that no waiting chunk covers (see shared.lifecycle.cover)."""

from collections.abc import Sequence

from shared.lifecycle.cover import cover, uncovered
from worker.upkeep.site import Site

NAME = "unclaimable"
ABOUT = "open items that no waiting chunk holds, so no worker would take them: given a chunk"


def find(site: Site, most: int) -> Sequence[tuple[str, int]]:
    with site.database.read() as connection:
        return uncovered(connection, most)


def mend(site: Site, found: Sequence[tuple[str, int]]) -> None:
    for batch_id in sorted({batch_id for batch_id, _ in found}):
        with site.database.write() as connection:
            cover(connection, batch_id)
