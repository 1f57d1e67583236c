"""Chunks that do not stand as their batch was steered: held, or back in the queue (see shared.lifecycle.steering)."""

from collections.abc import Sequence

from shared.lifecycle import steering
from worker.upkeep.site import Site

NAME = "steered"
ABOUT = "chunks in the queue although their batch is paused, or held although it is not: put right"


def find(site: Site, most: int) -> Sequence[tuple[str, bool]]:
    with site.database.read() as connection:
        return steering.misplaced(connection, most)


def mend(site: Site, found: Sequence[tuple[str, bool]]) -> None:
    for batch_id, _ in found:
        with site.database.write() as connection:
            steering.place(connection, batch_id)  # the step `messages` announces what has no message
