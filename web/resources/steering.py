"""Steering a batch of a tenant: pause, resume and retry. A call that repeats itself changes nothing."""

from shared.access import audit
from shared.access.audit import Actor
from shared.contract.states import BatchStatus
from shared.lifecycle import steering
from shared.store.records import BatchRecord
from web.http.problems import HttpProblem
from web.resources.batches import find
from web.service import Service

_RUNNING = (BatchStatus.QUEUED, BatchStatus.PROCESSING)


def pause(here: Service, tenant: str, batch_id: str, actor: Actor) -> BatchRecord:
    """Hold the items that no worker has begun; returns the batch. Raises 404, or 409 where it does not run."""
    row = find(here, tenant, batch_id)
    while row.status != BatchStatus.PAUSED:
        if row.status not in _RUNNING:
            raise _wrong_state(row, "paused")
        with here.database.write() as connection:
            if steering.pause(connection, batch_id):
                audit.append(connection, actor, "batch.pause", tenant=tenant, object_id=batch_id)
        # Where the batch changed meanwhile, the call is judged by what it is now.
        row = find(here, tenant, batch_id)
    here.complete(batch_id)
    return find(here, tenant, batch_id)


def resume(here: Service, tenant: str, batch_id: str, actor: Actor) -> BatchRecord:
    """Go on with a paused batch; returns it after that. Raises 404, or 409 where it has ended or is cancelling."""
    row, chunks = find(here, tenant, batch_id), None
    while row.status not in _RUNNING and chunks is None:
        if row.status != BatchStatus.PAUSED:
            raise _wrong_state(row, "resumed")
        with here.database.write() as connection:
            chunks = steering.resume(connection, batch_id)
            if chunks is not None:
                audit.append(connection, actor, "batch.resume", tenant=tenant, object_id=batch_id)
        row = find(here, tenant, batch_id)
    _announce(here, row, chunks)
    return row


def retry(here: Service, tenant: str, batch_id: str, actor: Actor) -> BatchRecord:
    """Judge the failed items of an ended batch again; returns the batch after that.

    Raises 404, or 409 where the batch runs for the first time, was cancelled, or has no failed item to judge again.
    """
    before = find(here, tenant, batch_id)
    with here.database.write() as connection:
        chunks = steering.retry(connection, batch_id)
        if chunks is not None:
            audit.append(connection, actor, "batch.retry", tenant=tenant, object_id=batch_id)
    row = find(here, tenant, batch_id)
    # Another call may have begun the retry during this one, and it may have ended since.
    if chunks is None and row.run == before.run and not (row.run > 1 and before.finished_at is None):
        if row.status in (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED):
            detail = "the batch has no failed item whose bytes are kept: there is nothing to judge again"
            raise HttpProblem(409, "wrong_state", detail)
        raise _wrong_state(row, "retried")
    _announce(here, row, chunks)
    return row


def _announce(here: Service, row: BatchRecord, chunks: int | None) -> None:
    for _ in range(chunks or 0):
        here.announcer.chunk_queued(row.lane)
    here.waiting.wake(row.id)


def _wrong_state(row: BatchRecord, verb: str) -> HttpProblem:
    return HttpProblem(409, "wrong_state", f"a batch that is {row.status} can't be {verb}")
