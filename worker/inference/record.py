"""Recording verdicts, and ending the batches whose last item this was."""

import logging
from collections.abc import Sequence

from shared.broker import messages, queues
from shared.clock import now
from shared.lifecycle import claims, counters, endings
from shared.lifecycle.claims import Claim, Result
from worker.inference.runtime import Runtime

log = logging.getLogger(__name__)


def record(
    runtime: Runtime, done: Sequence[tuple[Claim, Sequence[Result]]], sha256: str
) -> list[claims.Recorded]:
    """Write the results of claimed chunks, except of those whose lease was lost meanwhile."""
    with runtime.database.write() as connection:
        recorded, lost = claims.record(connection, done, model_sha256=sha256, at=now())
        if lost:
            counters.count(connection, "fenced", len(lost))
    for held in lost:
        log.warning("chunk %d was taken over: its verdicts are not written", held.chunk_id)
    return recorded


def abort(runtime: Runtime, batch_id: str) -> None:
    """Cancel the queued items of a batch that asked to end at its first failure."""
    with runtime.database.write() as connection:
        endings.cancel(connection, batch_id)


def complete(runtime: Runtime, batch_ids: Sequence[str]) -> None:
    """Ask whether these batches have ended, in a transaction of its own, and send the deliveries they owe."""
    with runtime.database.write() as connection:
        completed = [endings.complete(connection, batch_id) for batch_id in sorted(batch_ids)]
    for batch in completed:
        for delivery_id in batch.deliveries if batch else ():
            messages.send(runtime.celery, queues.DELIVER, [delivery_id], queues.WEBHOOKS)
