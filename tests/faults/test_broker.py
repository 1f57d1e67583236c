"""Rows 7 to 11: the broker dies, forgets everything, freezes, is cut off, or is full."""

import shutil
import signal
from collections.abc import Callable

import pytest

from tests.faults.rig import CHUNK_ITEMS, Rig, start_valkey
from tests.stack import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)
SLOW_CHUNK = "worker.claimed=sleep0.2"


def _under_way(ill: Rig, many: Many, chunks: int) -> str:
    """A batch of which some chunks are done and most are queued."""
    ill.restart("bulk", SLOW_CHUNK)
    batch_id = ill.submit(many(chunks * CHUNK_ITEMS))
    until(lambda: ill.batch(batch_id).succeeded >= CHUNK_ITEMS, 60, "the first chunk is done")
    assert ill.batch(batch_id).queued > 2 * CHUNK_ITEMS, "too fast: nothing is left to be put at risk"
    return batch_id


def _goes_on(ill: Rig, timeout_s: float = 60) -> float:
    """Seconds until the next chunk is recorded."""
    before = ill.done()
    return ill.time_until(lambda: ill.done() > before, timeout_s, "the next chunk is recorded")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_row_07_the_broker_ends_and_starts_again(ill: Rig, many: Many, how: signal.Signals) -> None:
    batch_id = _under_way(ill, many, 60)
    ill.kill_group("valkey", how)
    late = ill.submit(many(CHUNK_ITEMS))
    start_valkey(ill.stack)
    took = _goes_on(ill)
    ill.proof(f"the server's process ended by {how.name} and a new one was started")
    ill.recovered(took, 5)
    ill.finish(batch_id)
    ill.finish(late)
    ill.check(most_extra=2 * CHUNK_ITEMS)


def test_row_08_the_broker_is_flushed_in_the_middle_of_a_batch(ill: Rig, many: Many) -> None:
    batch_id = _under_way(ill, many, 5000 // CHUNK_ITEMS)
    with ill.broker() as broker:
        waiting = broker.llen("normal")
        broker.flushall()
    assert waiting > 0
    ill.restart("bulk")
    ill.proof(f"{waiting} messages were flushed")
    ill.recovered(_goes_on(ill), 15)
    assert ill.finish(batch_id, 150).succeeded == 5000 // CHUNK_ITEMS * CHUNK_ITEMS
    ill.check(most_extra=2 * CHUNK_ITEMS)


def test_row_08_the_broker_comes_back_with_an_empty_disk(ill: Rig, many: Many) -> None:
    batch_id = _under_way(ill, many, 60)
    ill.kill_group("valkey")
    shutil.rmtree(ill.stack.folder / "valkey")
    start_valkey(ill.stack)
    took = _goes_on(ill)
    ill.proof("the server's data folder was removed")
    ill.recovered(took, 15)
    ill.finish(batch_id)
    ill.check(most_extra=2 * CHUNK_ITEMS)
