"""Recording verdicts, and cancelling a batch that asked to end at its first failure."""

import logging
from collections.abc import Sequence

from shared.lifecycle import closing, counters, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.verdicts import Recorded, Result
from worker.inference.runtime import Runtime

log = logging.getLogger(__name__)


def record(runtime: Runtime, done: Sequence[tuple[Claim, Sequence[Result]]], sha256: str) -> list[Recorded]:
    """Write the results of claimed chunks, except of those whose lease was lost meanwhile."""
    with runtime.database.write() as connection:
        recorded, lost = verdicts.record(connection, done, model_sha256=sha256)
        if lost:
            counters.count(connection, "fenced", len(lost))
    for held in lost:
        log.warning("chunk %d was taken over: its verdicts are not written", held.chunk_id)
    return recorded


def abort(runtime: Runtime, batch_id: str) -> None:
    """Cancel the queued items of a batch that asked to end at its first failure."""
    with runtime.database.write() as connection:
        closing.abort(connection, batch_id)
