"""Images of ended batches that are not noted as known yet: large batches, and those that no worker's record ended."""

from collections.abc import Sequence

from shared.lifecycle import known_images
from worker.upkeep.site import Site

NAME = "known"
ABOUT = "ended batches whose judged images are not noted for the cache: noted"


def find(site: Site, most: int) -> Sequence[str]:
    if site.settings.cache == "off":
        return ()
    with site.database.read() as connection:
        return known_images.unknown(connection, most)


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        more = True
        while more:
            with site.database.write() as connection:
                more = known_images.note_more(connection, batch_id)
