"""Items whose stored bytes are gone."""

import logging
from collections.abc import Sequence

from shared.lifecycle import counters
from shared.lifecycle.claims import Claim, ClaimedItem
from shared.lifecycle.verdicts import Result
from worker.inference.runtime import Runtime

log = logging.getLogger(__name__)


def give_up(runtime: Runtime, missing: Sequence[Claim]) -> list[tuple[Claim, list[Result]]]:
    """Failed results for the chunks whose pack is gone, once they have been tried often enough.

    Before that their leases run out and the sweep queues them again. The wait lets other chunks go first, and gives
    a slow file system time to show the file.
    """
    with runtime.database.write() as connection:
        counters.count(connection, "bytes_missing", len(missing))
    for held in missing:
        log.error("chunk %d: pack %d of %s is missing", held.chunk_id, held.pack, held.batch_id)
    return [
        (held, [without_bytes(item, held.attempt) for item in held.items])
        for held in missing
        if held.attempt >= runtime.settings.max_attempts
    ]


def without_bytes(item: ClaimedItem, attempts: int = 1) -> Result:
    """The failed result of an item whose bytes are gone."""
    detail = f"the stored bytes of this image are gone (tries: {attempts})"
    return Result(item.seq, error_code="fetch_failed", error_detail=detail)
