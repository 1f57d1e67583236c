"""Shadows that run: the batches that ended since the last look are listed, and workers are asked for spare time."""

from collections.abc import Sequence

from shared.broker import messages, queues
from shared.lifecycle import shadows
from shared.store.shadow_records import ShadowRecord
from worker.upkeep.site import Site

NAME = "shadows"
ABOUT = "shadows that run: ended batches are listed for them, and workers are asked to score"
_AT_ONCE = 500


def find(site: Site, most: int) -> Sequence[ShadowRecord]:
    with site.database.read() as connection:
        running = shadows.running(connection)[:most]
        if running and shadows.waits(connection) and not _is_asked(site):
            return running
        return [shadow for shadow in running if shadows.ended(connection, shadow, 1)]


def mend(site: Site, found: Sequence[ShadowRecord]) -> None:
    for shadow in found:
        with site.database.write() as connection:
            shadows.list_batches(connection, shadow, _AT_ONCE)
    with site.database.read() as connection:
        waits = shadows.waits(connection)
    if waits and not _is_asked(site):
        messages.send(site.celery, queues.SHADOW, [], queues.SHADOWS)


def _is_asked(site: Site) -> bool:
    """Whether a message waits already: workers take none while chunks wait."""
    return bool(site.broker.client.llen(site.broker.key(queues.SHADOWS)))
