"""Row 36: the wall clock of one process jumps by 400 days and back; nothing is deleted and no work is taken away."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from shared.broker import messages, queues
from shared.broker.tasks import celery_app
from shared.store.tables import Batch, Delivery
from tests.faults.rig import CHUNK_ITEMS, Rig, rig
from tests.harness.clocks import ShiftedClock
from tests.harness.processes import until
from tests.harness.receivers import Receiver, status

Many = Callable[[int], dict[str, bytes]]
JUMP_S = 400 * 86_400
pytestmark = [
    pytest.mark.timeout(170),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


def finished(made: Rig, many: Many) -> str:
    """A batch that has ended and owes no webhook: its retention is all that keeps it."""
    batch = made.stack.submit(many(3))
    made.stack.finish(batch["id"])
    return str(batch["id"])


def kept(made: Rig) -> set[str]:
    with made.database.read() as connection:
        return set(connection.scalars(select(Batch.id)))


def jump(made: Rig, clock: ShiftedClock, seconds: float) -> None:
    """Both halves of the fault, long enough for several sweeps and heartbeats."""
    clock.shift(JUMP_S)
    time.sleep(seconds)
    clock.shift(0)


@pytest.mark.row(36)
@pytest.mark.parametrize("role", ["sweep", "web", "bulk"])
def test_a_clock_that_jumps_deletes_nothing_and_steals_nothing(
    role: str, tmp_path: Path, artifact: Path, many: Many, report_rig: Callable[[Rig], Rig]
) -> None:
    clock = ShiftedClock(tmp_path)
    with rig(tmp_path, [artifact], clock_settle_s=20.0) as made:
        report_rig(made)
        old = finished(made, many)
        orphan = made.blobs.pack_path("bat_orphan", 0)  # too young to be removed
        orphan.parent.mkdir(parents=True)
        orphan.write_bytes(b"x")
        os.utime(orphan, (time.time() + 3600, time.time() + 3600))
        made.restart("bulk", "worker.claimed=sleep0.7", env=clock.environment if role == "bulk" else None)
        if role != "bulk":
            made.restart(role, env=clock.environment)
        time.sleep(3)  # the sweep has read its clock some times
        expired = made.event("lease_expired")
        waiting = made.stack.submit(many(20 * CHUNK_ITEMS), {"deadline": 3600})["id"]
        until(lambda: made.held(waiting), 60, "a worker holds a chunk")
        jump(made, clock, 8)
        ended = made.finish(waiting, 120)
        assert ended.status == "completed", "nothing expired"
        assert {item.attempts for item in made.items(waiting)} == {1}
        assert made.event("lease_expired") == expired
        time.sleep(3)
        assert {old, waiting} <= kept(made)
        assert orphan.exists()
        assert made.stack.items(old), "its bytes and rows are there"
        if role == "sweep":
            assert "the clock jumped by" in (made.stack.folder / "sweep.log").read_text()
        made.proof(f"the clock of {role} was 400 days ahead for 8 s")


@pytest.mark.row(36)
@pytest.mark.parametrize("role", ["webhooks", "sweep"])
def test_a_delivery_in_hand_is_posted_once_whatever_the_clock_does(
    role: str, tmp_path: Path, artifact: Path, many: Many, report_rig: Callable[[Rig], Rig]
) -> None:
    """Its receiver takes its time. Messages for it come before, during and after the jump."""
    clock, receiver = ShiftedClock(tmp_path), Receiver()
    answered = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        answered.wait(12)
        status(204)(handler)

    receiver.replies = [slow]
    webhook = {"url": receiver.url, "secret": "whsec_" + "A" * 32}
    with rig(tmp_path, [artifact], clock_settle_s=20.0) as made:
        report_rig(made)
        for name in ("webhooks", "sweep"):
            made.restart(name, env=clock.environment if name == role else None, wait=False)
        made.finish(made.submit(many(3), webhook=webhook))
        until(lambda: receiver.posts, 60, "the receiver is being talked to")
        with made.database.read() as connection:
            (delivery,) = connection.scalars(select(Delivery.id))
        app = celery_app(made.stack.settings)
        for by in (0, JUMP_S, 0):
            clock.shift(by)
            for _ in range(2):
                assert messages.send(app, queues.DELIVER, [delivery], queues.WEBHOOKS)
            time.sleep(2.5)
        answered.set()

        def delivered() -> bool:
            with made.database.read() as connection:
                return connection.scalar(select(Delivery.status)) == "delivered"

        until(delivered, 30, "the delivery is recorded")
        time.sleep(3)
        assert len(receiver.posts) == 1
        made.proof(f"the clock of {role} was 400 days ahead for 2.5 s while a delivery was posted")
    receiver.close()


@pytest.mark.row(36)
def test_work_taken_under_a_clock_that_ran_ahead_is_not_lost(
    tmp_path: Path, artifact: Path, many: Many, report_rig: Callable[[Rig], Rig]
) -> None:
    """Its worker dies after the jump: the lease ends in 400 days, and no heartbeat will correct it."""
    clock = ShiftedClock(tmp_path)
    with rig(tmp_path, [artifact], clock_settle_s=20.0) as made:
        report_rig(made)
        clock.shift(JUMP_S)
        made.restart("bulk", "worker.claimed=sleep3600*1", env=clock.environment, GONOGO_WORKERS="1")
        batch_id = made.stack.submit(many(2 * CHUNK_ITEMS))["id"]
        held: Any = until(lambda: made.held(batch_id), 60, "it holds a chunk")[0]
        assert held.lease_until > time.time() + JUMP_S / 2
        with made.database.write() as connection:  # so that only the time can tell that it is dead
            connection.exec_driver_sql("UPDATE chunks SET host = 'elsewhere'")
        began = time.monotonic()
        clock.shift(0)
        made.restart("bulk")
        assert made.finish(batch_id, 60).succeeded == 2 * CHUNK_ITEMS
        made.proof("a lease that ended in 400 days was left by its worker")
        made.recovered(time.monotonic() - began, 35)


@pytest.mark.row(36)
def test_without_the_wait_the_same_jump_deletes(tmp_path: Path, artifact: Path, many: Many) -> None:
    """The proof that the fault bites: an installation that waits for no even clock loses its batch."""
    clock = ShiftedClock(tmp_path)
    with rig(tmp_path, [artifact], clock_settle_s=0.0) as made:
        old = finished(made, many)
        made.restart("sweep", env=clock.environment)
        time.sleep(3)
        assert old in kept(made)
        clock.shift(JUMP_S)
        until(lambda: old not in kept(made), 30, "the batch is purged")
        made.proof("the clock of the sweep was 400 days ahead")
