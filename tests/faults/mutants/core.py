"""Fence, lease, sweep and completion, each taken out: rows 3 to 29 and 49."""

from typing import Any

from sqlalchemy import and_, bindparam, or_, select, update

from shared.contract.states import ChunkStatus
from shared.store.tables import Batch, Chunk, Fetch
from tests.faults.mutants.mutant import Mutant, of_lifecycle


def _fence() -> None:
    """A record no longer asks for the token: whoever comes writes."""
    from shared.lifecycle import verdicts

    statement: Any = update(Chunk).where(Chunk.id == bindparam("chunk"))
    verdicts._FINISH_CHUNK = statement.values(status=ChunkStatus.DONE, token=None, lease_until=None)


def _lease_expiry() -> None:
    """The sweep finds no lease that has ended."""
    from worker.upkeep.steps import leases

    leases.find = lambda site, most: []


def _renewal() -> None:
    """No heartbeat renews a lease."""
    from shared.lifecycle import leases

    leases.renew = lambda connection, chunk_id, token, lease_s: True


def _completion() -> None:
    """Neither a worker nor the sweep asks whether a batch has ended."""
    from shared.lifecycle import endings

    endings.complete = lambda connection, batch_id, base="": None


def _completion_by_sweep() -> None:
    """Only the worker of the last chunk asks whether the batch has ended."""
    from worker.upkeep.steps import completion

    completion.find = lambda site, most: []


def _completion_guard() -> None:
    """A batch that has ended may end again."""
    from shared.lifecycle import endings

    columns = Batch.__table__.c
    guarded: Any = endings._COMPLETE
    kept = [
        clause
        for clause in guarded._where_criteria
        if columns.finished_at not in {getattr(clause, "left", None)} or "IS NULL" not in str(clause)
    ]
    unguarded = guarded._generate()
    unguarded._where_criteria = tuple(kept)
    endings._COMPLETE = unguarded


def _claim_guard() -> None:
    """A claim takes the oldest chunk that is not done, leased or not."""
    from shared.lifecycle import claims

    oldest = select(Chunk.id).where(
        Chunk.status.in_([ChunkStatus.QUEUED, ChunkStatus.LEASED]), Chunk.lane == bindparam("in_lane")
    )
    guarded: Any = claims._CLAIM_CHUNK
    unguarded = guarded._generate()
    unguarded._where_criteria = (Chunk.id == oldest.order_by(Chunk.id).limit(1).scalar_subquery(),)
    claims._CLAIM_CHUNK = unguarded


def _republish() -> None:
    """The sweep never sends a message again."""
    from worker.upkeep.steps import messages

    messages.find = lambda site, most: []


def _fetch_fence() -> None:
    """A fetch that was taken over may write, too."""
    from shared.lifecycle import fetches

    mine = Fetch.token == bindparam("by_token")
    place = (Fetch.batch_id == bindparam("in_batch"), Fetch.seq == bindparam("at_seq"))
    fetches._MINE = and_(*place, or_(mine, Fetch.token.is_not(None)))


def _fetch_lease() -> None:
    """The claim of a fetch never ends."""
    from shared.lifecycle import fetches

    whole = fetches.claim
    fetches.claim = lambda connection, item, now, hold_s, token: whole(connection, item, now, 9000.0, token)


def _fetch_sweep() -> None:
    """No sweep wakes the processes that fetch."""
    from worker.upkeep.steps import fetches

    fetches.find = lambda site, most: []


def _attempts() -> None:
    """A chunk comes back however often it has killed its worker."""
    from shared.lifecycle import leases

    whole = leases.return_expired
    leases.return_expired = lambda connection, chunk_id, max_attempts: whole(connection, chunk_id, 10**6)


MUTANTS: dict[str, Mutant] = {
    "fence": of_lifecycle(_fence, 4, "frozen_child_wakes"),
    "lease expiry": of_lifecycle(_lease_expiry, 4, "frozen_child_wakes"),
    "renewal": of_lifecycle(_renewal, 29, "child_that_hangs or slow_child_keeps"),
    "completion": of_lifecycle(_completion, 25, "every_message_two_to_five_times"),
    "completion by the sweep": of_lifecycle(_completion_by_sweep, 28, "two_sweepers"),
    "completion guard": of_lifecycle(_completion_guard, 28, "two_sweepers"),
    "claim guard": of_lifecycle(_claim_guard, 25, "every_message_two_to_five_times"),
    "republish": of_lifecycle(_republish, 3, "message_lost_between"),
    "fetch fence": of_lifecycle(_fetch_fence, 49, "what_fetches_images"),
    "fetch lease": of_lifecycle(_fetch_lease, 49, "what_fetches_images"),
    "fetch sweep": of_lifecycle(_fetch_sweep, 49, "what_fetches_images"),
    "attempts bound": of_lifecycle(_attempts, 20, "image_that_kills or in_one_micro_batch"),
}
