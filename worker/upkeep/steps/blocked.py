"""Batches that no worker can serve; each says why in `blocked`."""

from collections.abc import Sequence

from shared.lifecycle import blocked
from worker.upkeep.site import Site

NAME = "blocked"
ABOUT = "batches that no worker can serve: `blocked` in each says why; they go on once that is mended"


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        return blocked.blocked(connection, most)
