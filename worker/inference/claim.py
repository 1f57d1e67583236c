"""Claiming chunks, and handing them back if this worker lacks what they need."""

import logging
import secrets
from collections.abc import Sequence
from functools import partial

from shared.lifecycle import claims, counters, leases
from shared.lifecycle.claims import Claim
from shared.store.engine import retrying
from worker.inference.runtime import Runtime

log = logging.getLogger(__name__)


def claim(runtime: Runtime, lane: str) -> list[Claim]:
    """The oldest queued chunk of a lane, and small chunks that fill its last micro-batch; empty if none is queued."""
    settings, who = runtime.settings, runtime.who
    with runtime.database.write() as connection:
        held = claims.claim(
            connection,
            lanes=[lane, *(other for other in who.lanes if other != lane)],
            # If one death is the last attempt, an image may not take the items of other chunks with it.
            micro_batch=settings.micro_batch if settings.max_attempts > 1 else 1,
            token=secrets.token_hex(8),
            host=who.host,
            pid=who.pid,
            lease_s=settings.lease_s,
            look=settings.cache == "on",
        )
    for one in held:
        log.debug("claimed chunk %d of %s, traceparent %s", one.chunk_id, one.batch_id, one.traceparent)
    return held


def hand_back(runtime: Runtime, held: Sequence[Claim], event: counters.Name, why: str) -> None:
    """Queue chunks again without counting an attempt; counts `event` for each."""

    def release(one: Claim) -> None:
        with runtime.database.write() as connection:
            leases.release(connection, one, event, why)
            counters.count(connection, event)

    for one in held:
        log.error("chunk %d is handed back: %s (traceparent %s)", one.chunk_id, why, one.traceparent)
        retrying(partial(release, one))
