"""Rows 7 to 11: the broker dies, forgets everything, freezes, is cut off, or is full."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.rig import CHUNK_ITEMS, Rig, rig
from tests.harness.processes import free_port, until
from tests.harness.proxy import HalfOpenProxy
from tests.harness.stack import COMMANDS

Many = Callable[[int], dict[str, bytes]]
# The broker knows nothing of the database: one kind is enough.
one_kind = pytest.mark.parametrize("shared", ["sqlite"], indirect=True)
pytestmark = pytest.mark.timeout(170)
SLOW_CHUNK = "worker.claimed=sleep0.2"


def _under_way(ill: Rig, many: Many, chunks: int) -> str:
    """A batch of which some chunks are done and most are queued."""
    ill.restart("bulk", SLOW_CHUNK)
    batch_id = ill.submit(many(chunks * CHUNK_ITEMS), views=4)
    until(lambda: ill.batch(batch_id).succeeded >= CHUNK_ITEMS, 60, "the first chunk is done")
    assert ill.batch(batch_id).queued > 2 * CHUNK_ITEMS, "too fast: nothing is left to be put at risk"
    return batch_id


def _goes_on(ill: Rig, timeout_s: float = 60) -> float:
    """Seconds until the next chunk is recorded."""
    before = ill.done()
    return ill.time_until(lambda: ill.done() > before, timeout_s, "the next chunk is recorded")


@pytest.mark.row(7)
@one_kind
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_broker_ends_and_starts_again(ill: Rig, many: Many, how: signal.Signals) -> None:
    batch_id = _under_way(ill, many, 60)
    ill.stack.kill_group("valkey", how)
    late = ill.submit(many(CHUNK_ITEMS))
    ill.stack.start_valkey()
    took = _goes_on(ill)
    ill.proof(f"the server's process ended by {how.name} and a new one was started")
    ill.recovered(took, 5)
    ill.finish(batch_id)
    ill.finish(late)
    ill.check(most_extra=2 * CHUNK_ITEMS)


@pytest.mark.row(46)
@pytest.mark.row(8)
@one_kind
def test_the_broker_is_flushed_in_the_middle_of_a_batch(ill: Rig, many: Many) -> None:
    batch_id = _under_way(ill, many, 5000 // CHUNK_ITEMS)
    with ill.broker() as broker:
        waiting = broker.llen(ill.key("normal"))
        broker.flushall()
    assert waiting > 0
    ill.restart("bulk")
    ill.proof(f"{waiting} messages were flushed")
    ill.recovered(_goes_on(ill), 15)
    assert ill.finish(batch_id, 150).succeeded == 5000 // CHUNK_ITEMS * CHUNK_ITEMS
    ill.check(most_extra=2 * CHUNK_ITEMS)


@pytest.mark.row(8)
@one_kind
def test_the_broker_comes_back_with_an_empty_disk(ill: Rig, many: Many) -> None:
    batch_id = _under_way(ill, many, 60)
    ill.stack.kill_group("valkey")
    shutil.rmtree(ill.stack.folder / "valkey")
    ill.stack.start_valkey()
    took = _goes_on(ill)
    ill.proof("the server's data folder was removed")
    ill.recovered(took, 15)
    ill.finish(batch_id)
    ill.check(most_extra=2 * CHUNK_ITEMS)


@pytest.mark.row(9)
@one_kind
@pytest.mark.parametrize("seconds", [40, 60])
def test_the_broker_is_frozen(ill: Rig, many: Many, seconds: int) -> None:
    """After 40 s the messages in hand could not be acknowledged, and no link has failed since."""
    batch_id = _under_way(ill, many, 60)
    valkey, slowest, late = ill.stack.processes["valkey"], 0.0, []
    valkey.send_signal(signal.SIGSTOP)
    frozen_at = time.monotonic()
    try:
        while time.monotonic() - frozen_at < seconds:
            asked_at = time.monotonic()
            late.append(ill.submit(many(CHUNK_ITEMS)))
            slowest = max(slowest, time.monotonic() - asked_at)
            time.sleep(4)
    finally:
        valkey.send_signal(signal.SIGCONT)
    took = _goes_on(ill)
    ill.proof(
        f"SIGSTOP for {seconds} s, {len(late)} uploads meanwhile, the slowest answered in {slowest:.2f} s"
    )
    ill.recovered(took, 5)
    for one in (batch_id, *late):
        ill.finish(one)
    assert slowest < 2, f"an upload took {slowest:.1f} s while the broker was frozen"
    ill.check(most_extra=0)


@pytest.mark.row(10)
def test_the_link_to_the_broker_goes_half_open(
    artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig]
) -> None:
    broker_port, proxy_port = free_port(), free_port()
    proxy = HalfOpenProxy(proxy_port, broker_port)
    proxy.start()
    with rig(tmp_path, [artifact], broker_port=broker_port, proxy_port=proxy_port) as ill:
        report_rig(ill)
        ill.finish(ill.submit(many(2 * CHUNK_ITEMS)))
        links = proxy.go_half_open()
        batch_id = ill.submit(many(2 * CHUNK_ITEMS))
        took = ill.time_until(lambda: ill.batch(batch_id).finished_at is not None, 120, "work goes on")
        ill.proof(f"{links} links swallowed {proxy.swallowed} bytes and stayed open")
        assert proxy.swallowed > 0
        ill.recovered(took, 25)
        ill.check(most_extra=0)
    proxy.stop()


@pytest.mark.row(11)
@one_kind
def test_the_broker_is_full(ill: Rig, many: Many) -> None:
    ill.restart("bulk")
    with ill.broker() as broker:
        broker.config_set("maxmemory", broker.info("memory")["used_memory"] - 1)
        batch_ids = [ill.submit(many(CHUNK_ITEMS)) for _ in range(5)]
        time.sleep(2 * ill.stack.settings.republish_s)
        ill.proof(f"5 uploads accepted with maxmemory {broker.config_get('maxmemory')['maxmemory']}")
        _, ready = ill.stack.get("/readyz")
        ill.saw["alarm"] = ready["checks"]["broker"]
        broker.config_set("maxmemory", 0)
    before = ill.done()  # the last batch may end at any moment
    took = ill.time_until(
        lambda: ill.done() > before or _all_ended(ill, batch_ids), 60, "a chunk is recorded or all are"
    )
    ill.recovered(took, 15)
    for batch_id in batch_ids:
        ill.finish(batch_id)
    ill.check(most_extra=0)
    assert "full" in ill.saw["alarm"], "a full broker is not told by /readyz"


def _all_ended(ill: Rig, batch_ids: list[str]) -> bool:
    return all(ill.batch(batch_id).finished_at is not None for batch_id in batch_ids)


@pytest.mark.row(11)
@one_kind
def test_no_start_on_a_broker_that_evicts(ill: Rig, many: Many) -> None:
    with ill.broker() as broker:
        broker.config_set("maxmemory-policy", "allkeys-lru")
        try:
            ill.stack.spawn("web-b", COMMANDS["web"], {"GONOGO_PORT": str(free_port())})
            process = ill.stack.processes.pop("web-b")
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        finally:
            broker.config_set("maxmemory-policy", "noeviction")
    assert code != 0
    said = (ill.stack.folder / "web-b.log").read_text()
    assert "maxmemory-policy is allkeys-lru" in said
    ill.proof(f"the web ended with status {code} and named the policy")
    ill.check()
