"""Rows 24, 25 and 28: cancelled half way, messages many times over, two sweepers."""

import time
from collections.abc import Callable

import pytest

from shared.broker import messages
from shared.broker.connection import open_broker
from tests.faults.rig import CHUNK_ITEMS, Rig
from tests.harness.polls import polling
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)


def steer(ill: Rig, batch_id: str, step: str) -> None:
    assert ill.stack.request("POST", f"/v1/batches/{batch_id}/{step}", b"")[0] == 200, step


@pytest.mark.row(46)
@pytest.mark.row(24)
def test_a_batch_of_10000_cancelled_half_way(ill: Rig, many: Many) -> None:
    ill.restart("bulk", "worker.claimed=sleep0.05")
    batch_id = ill.submit(many(10_000), views=5)
    with polling(ill.stack, batch_id) as polls:
        until(lambda: ill.batch(batch_id).succeeded > 300, 90, "a part of it is done")
        steer(ill, batch_id, "pause")
        time.sleep(0.5)
        paused_at = ill.batch(batch_id).succeeded
        steer(ill, batch_id, "resume")
        until(lambda: ill.batch(batch_id).succeeded > paused_at + 200, 90, "it goes on")
        steer(ill, batch_id, "cancel")
        at_cancel = ill.batch(batch_id)
        started = time.monotonic()
        batch = ill.finish(batch_id)
    ill.recovered(time.monotonic() - started, 5)
    assert batch.status == "cancelled"
    assert batch.succeeded + batch.failed + batch.cancelled + batch.expired == batch.total == 10_000
    assert batch.cancelled > 0 and at_cancel.queued == 0
    assert polls.faults == [] and polls.midway > 20
    assert {"processing", "paused"} <= polls.states and polls.states & {"cancelling", "cancelled"}
    ill.proof(
        f"{batch.succeeded} were done and {batch.cancelled} cancelled; {polls.made} polls over a pause added up"
    )
    ill.check(most_extra=0)


@pytest.mark.row(46)
@pytest.mark.row(25, quick=("sqlite",))
def test_every_message_two_to_five_times(ill: Rig, many: Many) -> None:
    chunks = 40
    ill.restart("bulk")
    batch_id = ill.submit(many(chunks * CHUNK_ITEMS), views=4)
    extra = sum(2 + number % 4 for number in range(chunks)) - chunks
    with ill.broker() as broker:
        assert messages.ChunkMessages(open_broker(ill.stack.settings)).send("normal", extra)
        ill.finish(batch_id)
        until(lambda: broker.llen(ill.key("normal")) == 0, 60, "every message was taken")
    ill.proof(f"{extra} messages more than {chunks} chunks")
    ill.check(most_extra=0)


@pytest.mark.row(28)
def test_two_sweepers(ill: Rig, many: Many) -> None:
    ill.restart("sweep-b")
    ill.restart("bulk", "worker.recorded=kill*3")
    batch_ids = [ill.submit(many(2 * CHUNK_ITEMS)) for _ in range(4)]
    for batch_id in batch_ids:
        ill.finish(batch_id)
    ill.proof(f"two sweepers, {ill.fired('worker.recorded')} workers killed between record and complete")
    ill.stack.kill_group("sweep-b")
    ill.restart("bulk")
    ill.check(most_extra=0)
