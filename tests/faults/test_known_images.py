"""Row 1, with known images: a worker dies between the look-up of a score and the record of it."""

from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.faults.rig import CHUNK_ITEMS, Rig

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)
KNOWN, COPIES, KILLS = 60, 10, 3


@pytest.mark.row(1)
def test_a_child_killed_with_known_scores_in_hand(ill: Rig, many: Many) -> None:
    ill.restart("bulk", GONOGO_CACHE="on")
    every = many(10_000)
    first = ill.submit(dict([*every.items()][:KNOWN]))
    assert ill.finish(first).succeeded == KNOWN
    ill.restart("bulk", f"worker.predicted=kill*{KILLS}", wait=False, GONOGO_CACHE="on")
    distinct = len({*every.values()})
    batch_id = ill.submit(dict([*every.items()][: COPIES * distinct]), views=4)
    assert ill.finish(batch_id, 120).succeeded == COPIES * distinct
    assert ill.fired("worker.predicted") == KILLS
    cached = [item for item in ill.items(batch_id) if item.cached_from is not None]
    scores = defaultdict[str | None, set[float | None]](set)
    for item in (*ill.items(first), *ill.items(batch_id)):
        scores[item.sha256].add(item.score)
    ill.restart("bulk")
    assert len(cached) == COPIES * KNOWN
    assert {item.attempts for item in cached} > {1}, "a cached item was in the hand of a dead worker"
    assert len(scores) == distinct
    assert {len(each) for each in scores.values()} == {1}, "the same bytes have one score"
    ill.proof(f"{ill.fired('worker.predicted')} kills before the record, {len(cached)} items cached")
    ill.check(most_extra=KILLS * CHUNK_ITEMS)
