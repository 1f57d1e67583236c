"""Rows 1 to 4: the process that holds a chunk dies, freezes, or dies in the narrow place."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from shared.store.records import ChunkRecord
from tests.faults.rig import CHUNK_ITEMS, Rig
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)
SLOW_CHUNK = "worker.claimed=sleep0.3"


@pytest.mark.row(46)
@pytest.mark.row(1, quick=("sqlite",))
def test_a_child_killed_in_the_middle_of_a_chunk(ill: Rig, many: Many) -> None:
    ill.restart("bulk", "worker.predicted=sleep6*2")
    batch_id = ill.submit(many(5000), views=4)
    held = ill.wait_held(batch_id)
    assert held.pid is not None
    os.kill(held.pid, signal.SIGKILL)
    took = ill.time_until(lambda: ill.chunk(held.id).status == "done", 60, "the chunk is done by another")
    again = ill.chunk(held.id)
    assert again.attempts >= 2
    ill.proof(f"the process of the lease row was killed, chunk ran {again.attempts} times")
    ill.recovered(took, 35)
    assert ill.finish(batch_id, 120).succeeded == 5000
    ill.check(most_extra=CHUNK_ITEMS)


@pytest.mark.row(46)
@pytest.mark.row(2)
def test_the_whole_worker_killed_many_times(ill: Rig, many: Many) -> None:
    # Slow enough that the batch outlives the last kill: the worker that is left goes on while the other starts.
    one, kills, slow = {"GONOGO_WORKERS": "1"}, 20, "worker.claimed=sleep0.5"
    names, killed = ("bulk-a", "bulk-b"), Counter[str]()
    for name in names:
        ill.restart(name, slow, wait=False, env=one)
    ill.stack.kill_group("bulk")
    batch_id = ill.submit(many(100 * CHUNK_ITEMS), views=4)
    longest = 0.0
    while killed.total() < kills:
        # A chunk that is met for the first time: a chunk whose every holder is killed is bisected, as it should be.
        since = time.monotonic()
        held = until(
            lambda: [chunk for chunk in ill.held(batch_id) if chunk.attempts == 1], 60, "work goes on"
        )[0]
        longest = max(longest, time.monotonic() - since)
        holder = next((name for name in names if held.pid in ill.stack.children(name)), None)
        if holder is not None:
            ill.restart(name, slow, wait=False, env=one)
            killed[holder] += 1
    ill.proof(f"{killed.total()} kills of the worker that held a chunk, with its child")
    ill.recovered(longest, 35)
    assert ill.finish(batch_id, 120).succeeded == 100 * CHUNK_ITEMS
    ill.restart("bulk")
    for name in names:
        ill.stack.kill_group(name)
    ill.check(most_extra=killed.total() * CHUNK_ITEMS)


@pytest.mark.row(2)
def test_killed_with_many_small_batches_in_hand(ill: Rig, many: Many) -> None:
    """Chunks that one worker claims together belong to many batches: each must come back, and end once."""
    slow, killed = "worker.claimed=sleep0.1;worker.recorded=sleep0.1", []  # met on either side of a record
    ill.stack.kill_group("bulk")
    batch_ids = [ill.submit({name: data}) for name, data in many(10 * CHUNK_ITEMS).items()]

    def small_ones_in_hand() -> list[ChunkRecord]:
        held = ill.held()
        return held if len(held) > 1 and all(chunk.attempts == 1 for chunk in held) else []

    ill.restart("bulk", slow)
    for _ in range(3):
        killed.append(len(until(small_ones_in_hand, 60, "small chunks are claimed together")))
        ill.restart("bulk", slow)
    ill.restart("bulk")
    for batch_id in batch_ids:
        assert ill.finish(batch_id, 120).succeeded == 1
    ill.proof(f"{len(killed)} kills, with {min(killed)} to {max(killed)} batches in hand")
    ill.check(most_extra=2 * len(killed) * CHUNK_ITEMS)  # there are two children


@pytest.mark.row(3)
def test_a_message_lost_between_the_queue_and_its_unacked_entry(ill: Rig, many: Many) -> None:
    env = {"FAULTS_POINTS": "kombu.transport.redis:QoS.append"}
    ill.restart("bulk", "QoS.append=kill*1", env=env)
    batch_id = ill.submit(many(CHUNK_ITEMS))
    until(lambda: ill.fired("QoS.append"), 30, "the worker dies in QoS.append")
    process = ill.stack.processes.pop("bulk")
    assert process.wait(30) == -signal.SIGKILL
    with ill.broker() as broker:
        assert broker.llen(ill.key("normal")) == 0, "the message was put back: the narrow hole was missed"
    ill.restart("bulk")
    took = ill.time_until(lambda: ill.batch(batch_id).finished_at is not None, 60, "the sweep sends it again")
    ill.proof("the broker held no copy of the message when its worker was dead")
    ill.recovered(took, 3 * ill.stack.settings.sweep_s + ill.stack.settings.republish_s)
    assert ill.event("announced_again") > 0
    ill.check(most_extra=0)


@pytest.mark.row(46)
@pytest.mark.row(4)
def test_a_frozen_child_wakes_after_its_lease(ill: Rig, many: Many) -> None:
    ill.restart("bulk", "worker.predicted=sleep1*1")
    fenced = ill.event("fenced")
    batch_id = ill.submit(many(8 * CHUNK_ITEMS), views=4)
    until(lambda: ill.fired("worker.predicted"), 30, "a worker stands before its record")
    held = ill.wait_held(batch_id)
    assert held.pid is not None
    os.kill(held.pid, signal.SIGSTOP)
    frozen_at = time.monotonic()
    try:
        until(lambda: ill.chunk(held.id).status == "done", 60, "another worker has done the chunk")
        took = time.monotonic() - frozen_at
        before = ill.items(batch_id)
    finally:
        os.kill(held.pid, signal.SIGCONT)
    until(lambda: ill.event("fenced") == fenced + 1, 30, "the zombie is fenced")
    first = slice(held.first_seq, held.last_seq + 1)
    assert ill.items(batch_id)[first] == before[first], "the zombie wrote rows"
    ill.proof("the frozen process woke after its chunk was done and was fenced")
    ill.recovered(took, 35)
    ill.finish(batch_id)
    ill.check(most_extra=CHUNK_ITEMS)
