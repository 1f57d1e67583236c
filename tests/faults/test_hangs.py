"""Rows 26, 27 and 29: a child that hangs, a clock that is wrong, a restart under load."""

import os
import signal
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from tests.faults.rig import CHUNK_ITEMS, WEBHOOK, Rig
from tests.harness.forms import multipart
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)


@pytest.mark.row(29)
@pytest.mark.parametrize("shared", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["sleeps", "stopped"])
def test_a_child_that_hangs_is_ended(ill: Rig, many: Many, how: str) -> None:
    point = "worker.predict=hang*1" if how == "sleeps" else "worker.predict=sleep1*1"
    ill.restart("bulk", point, GONOGO_CHUNK_TIMEOUT_S="6")
    batch_id = ill.submit(many(6 * CHUNK_ITEMS))
    until(lambda: ill.fired("worker.predict"), 30, "a child is in the middle of a chunk")
    pid = ill.wait_held(batch_id).pid
    assert pid is not None
    since = time.monotonic()
    if how == "stopped":
        os.kill(pid, signal.SIGSTOP)
    until(lambda: not psutil.pid_exists(pid), 60, "the hard limit ends the child")
    ended = time.monotonic() - since
    ill.finish(batch_id)
    ill.proof(f"a child that {how} was ended after {ended:.1f} s (limit 6 s)")
    ill.recovered(time.monotonic() - since, 35)
    ill.restart("bulk")
    ill.check(most_extra=2 * CHUNK_ITEMS)


@pytest.mark.row(29)
def test_a_slow_child_keeps_its_lease(ill: Rig, many: Many) -> None:
    """The other side of the coin: who is slow and lives is not robbed."""
    ill.restart("bulk", "worker.predicted=sleep7*2")
    expired = ill.event("lease_expired")
    batch_id = ill.submit(many(4 * CHUNK_ITEMS))
    ill.finish(batch_id)
    ill.proof(
        f"{ill.fired('worker.predicted')} chunks took 7 s under a lease of {ill.stack.settings.lease_s:g} s"
    )
    assert ill.event("lease_expired") == expired
    ill.check(most_extra=0)


@pytest.mark.row(26)
@pytest.mark.parametrize("shared", ["postgresql"], indirect=True)
@pytest.mark.parametrize("skew_s", [120, -120])
def test_a_clock_that_is_wrong_steals_no_lease(ill: Rig, many: Many, skew_s: int) -> None:
    """On SQLite there is one host and one clock; on PostgreSQL leases go by the server's."""
    ill.restart("bulk", "worker.claimed=sleep0.5", GONOGO_WORKERS="1")
    expired = ill.event("lease_expired")
    ill.restart(
        "bulk-b", "worker.claimed=sleep0.5", wait=False, FAULTS_SKEW_S=str(skew_s), GONOGO_WORKERS="1"
    )
    ill.restart("sweep", FAULTS_SKEW_S=str(-skew_s))
    until(lambda: len(ill.stack.children("bulk-b")) == 1, 30, "the worker with the wrong clock has its child")
    batch_id = ill.submit(many(30 * CHUNK_ITEMS))
    until(
        lambda: {row.pid for row in ill.held(batch_id)} & ill.stack.children("bulk-b"), 60, "it holds a chunk"
    )
    ill.finish(batch_id)
    ill.proof(f"a worker {skew_s:+d} s and the sweep {-skew_s:+d} s off; the worker held chunks")
    assert ill.event("lease_expired") == expired
    ill.stack.kill_group("bulk-b")
    ill.restart("sweep")
    ill.restart("bulk")
    ill.check(most_extra=0)


@pytest.mark.row(27)
@pytest.mark.parametrize("shared", ["sqlite"], indirect=True)
def test_a_rolling_restart_under_load(ill: Rig, many: Many) -> None:
    slow, grace_s = "worker.claimed=sleep0.2", ill.stack.settings.drain_s + 10
    for name in ("bulk-a", "bulk-b"):
        ill.restart(name, slow, GONOGO_WORKERS="1")
    ill.stack.kill_group("bulk")
    stop, uploads, refused = threading.Event(), dict[str, int](), list[str]()

    def upload() -> None:
        for number in range(1000):
            if stop.is_set():
                return
            content_type, body = multipart(many(3 * CHUNK_ITEMS), {"webhook": WEBHOOK})
            headers = {"Content_Type": content_type, "Idempotency_Key": f"{ill.points.name}-{number}"}
            while True:
                try:
                    status, _, answer = ill.stack.request("POST", "/v1/batches", body, **headers)
                except OSError as error:
                    refused.append(str(error))
                    time.sleep(0.2)
                    continue
                if status == 202:
                    uploads[answer.split(b'"id":')[1].split(b'"')[1].decode()] = 3 * CHUNK_ITEMS
                    break
                refused.append(str(status))
                time.sleep(0.5)
            time.sleep(0.3)

    client = threading.Thread(target=upload)
    client.start()
    exits = []
    for name in ("bulk-a", "web", "bulk-b", "sweep"):
        until(lambda: len(uploads) > 2, 60, "uploads come in")
        started = time.monotonic()
        ill.restart(name, slow if name.startswith("bulk") else "", how=signal.SIGTERM, GONOGO_WORKERS="1")
        exits.append(time.monotonic() - started)
    stop.set()
    client.join(60)
    ill.accepted |= uploads
    for batch_id in uploads:
        ill.finish(batch_id)
    ill.proof(
        f"SIGTERM of each process in turn, {len(uploads)} uploads meanwhile, {len(refused)} tried again"
    )
    ill.recovered(max(exits), grace_s)
    ill.restart("bulk")
    for name in ("bulk-a", "bulk-b"):
        ill.stack.kill_group(name)
    ill.check(most_extra=0)
