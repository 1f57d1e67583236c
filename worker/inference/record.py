"""Recording verdicts, and cancelling a batch that asked to end at its first failure."""

import logging
import time
from collections.abc import Iterator, Sequence

from shared.lifecycle import closing, counters, drift, verdicts
from shared.lifecycle.claims import Claim
from shared.lifecycle.verdicts import Recorded, Result
from shared.store import tallies
from shared.store.tallies import Key, Sum
from worker.inference.loaded import LoadedModel
from worker.inference.runtime import Runtime

log = logging.getLogger(__name__)


def record(
    runtime: Runtime, done: Sequence[tuple[Claim, Sequence[Result]]], model: LoadedModel
) -> list[Recorded]:
    """Write the results of claimed chunks, except of those whose lease was lost meanwhile."""
    began = time.perf_counter()
    with runtime.database.write() as connection:
        recorded, lost = verdicts.record(
            connection,
            done,
            model_sha256=model.artifact.sha256,
            judge_id=model.judges.get(model.first_network),
            note=runtime.settings.cache == "on",
        )
        if lost:
            counters.count(connection, "fenced", len(lost))
    for held in lost:
        log.warning("chunk %d was taken over: its verdicts are not written", held.chunk_id)
    runtime.tallies.took("record", time.perf_counter() - began)
    for held, results in done:
        if held not in lost:
            runtime.tallies.add(_tallied(held, results))
            # Images that are judged again tell nothing new of the line.
            if model.has_reference and held.rerun_of is None:
                measured = [
                    (result.score, result.unfamiliarity)
                    for result in results
                    if result.score is not None and result.cached_from is None
                ]
                runtime.tallies.add(drift.tallied(held.tenant, held.model_id, held.line, measured))
    return recorded


def _tallied(held: Claim, results: Sequence[Result]) -> Iterator[tuple[Key, Sum]]:
    """The wait of a chunk's items, their decode and infer times, and their verdicts or errors."""
    yield tallies.stage("queue", held.waited_s), Sum(len(results), held.waited_s * len(results))
    for result in results:
        decode_s, infer_s = result.decode_ms / 1000, result.infer_ms / 1000
        if decode_s:  # an item without bytes was not decoded
            yield tallies.stage("decode", decode_s), Sum(1, decode_s)
        if result.error_code:
            yield Key(tallies.FAILURES, result.error_code), Sum(1)
            continue
        if result.cached_from is None:
            yield tallies.stage("infer", infer_s), Sum(1, infer_s)
        else:
            yield Key(tallies.CACHED, held.model_id), Sum(1)
        yield Key(tallies.VERDICTS, f"{held.model_id},{result.verdict}"), Sum(1)


def abort(runtime: Runtime, batch_id: str) -> None:
    """Cancel the queued items of a batch that asked to end at its first failure."""
    with runtime.database.write() as connection:
        closing.abort(connection, batch_id)
