"""Queued chunks whose message was lost: announced again, as many as are missing."""

import logging
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select

from shared.contract.states import ChunkStatus
from shared.lifecycle import counters
from shared.store.engine import clock
from shared.store.tables import Chunk
from worker.upkeep.site import Site

NAME = "messages"
ABOUT = "waiting chunks without a message to a worker: announced"
_AHEAD_S = 60.0
log = logging.getLogger(__name__)


def find(site: Site, most: int) -> Sequence[str]:
    """A lane for each message that is missing: chunks queued for a while, less the messages in the lane's queue."""
    # A time in the future comes from a clock that ran ahead: its chunk is overdue too.
    wait_s = site.settings.republish_s
    overdue = (
        Chunk.status == ChunkStatus.QUEUED,
        ~Chunk.enqueued_at.between(clock() - wait_s, clock() + _AHEAD_S),
    )
    query = select(Chunk.lane, func.count()).where(*overdue).group_by(Chunk.lane)
    with site.database.read() as connection:
        waiting = connection.execute(query).all()
    missing = {lane: chunks - site.broker.length(lane) for lane, chunks in waiting}
    return [lane for lane, number in sorted(missing.items()) for _ in range(min(number, most))]


def mend(site: Site, found: Sequence[str]) -> None:
    for lane, missing in Counter(found).items():
        if site.chunk_messages.send(lane, missing):
            log.info("announced %d chunks of lane %s again", missing, lane)
            with site.database.write() as connection:
                counters.count(connection, "announced_again", missing)
