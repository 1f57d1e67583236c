"""Rows 37 and 38: other installations and applications on one broker, and containers that share a host name."""

import os
import shutil
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from celery import Celery

from shared.broker import address, queues
from shared.settings import Settings
from tests.faults.rig import CHUNK_ITEMS, Rig, rig
from tests.harness.processes import free_port, until
from tests.harness.stack import COMMANDS, Stack

Many = Callable[[int], dict[str, bytes]]
FOREIGN, PREDICTIONS = 5, 60
UNSHARE = shutil.which("unshare")
pytestmark = pytest.mark.timeout(240)


def p99(stack: Stack, image: bytes) -> tuple[float, float]:
    """(99th percentile, median) of the seconds that predictions take, one after the other."""
    took = []
    with stack.client() as client:
        for number in range(PREDICTIONS):
            began = time.monotonic()
            client.predict((f"{number}.jpg", image))
            took.append(time.monotonic() - began)
    return statistics.quantiles(took, n=100)[-1], statistics.median(took)


def send_foreign(settings: Settings) -> None:
    """Messages of an application whose queues and tasks have the same names as ours."""
    with Celery(
        "foreign", broker=address.read(settings.broker).celery()["broker_url"], set_as_current=False
    ) as app:
        for name in queues.QUEUES:
            for _ in range(FOREIGN):
                app.send_task(queues.INFER, args=["normal"], queue=name)


def foreign_left(settings: Settings) -> dict[str, int]:
    with redis.Redis.from_url(settings.broker) as client:
        return {name: int(client.llen(name)) for name in queues.QUEUES}


@pytest.mark.row(37)
def test_a_second_installation_and_a_foreign_application_slow_no_prediction_down(
    tmp_path: Path, artifact: Path, many: Many, report_rig: Callable[[Rig], Rig]
) -> None:
    (image,) = many(1).values()
    processes = ("web", "sweep", "bulk", "interactive")
    with rig(tmp_path, [artifact], processes=processes, workers=1, republish_s=30.0) as made:
        report_rig(made)
        p99(made.stack, image)  # warm
        alone, usual = p99(made.stack, image)
        second = Stack(
            tmp_path / "second",
            replace(
                made.stack.settings, installation="", data_dir=tmp_path / "second", port=free_port(),
                database_url="",
            ),
        )  # fmt: skip
        second.folder.mkdir()
        second.prepare([artifact])
        try:
            second.start(*processes)
            second.wait_ready(90)
            send_foreign(made.stack.settings)
            shared, median = p99(made.stack, image)
            # A message that the other installation took would be sent again after 30 s only.
            assert made.finish(made.submit(many(4 * CHUNK_ITEMS)), 25).succeeded == 4 * CHUNK_ITEMS
            second.finish(second.submit(many(CHUNK_ITEMS))["id"], 25)
            assert foreign_left(made.stack.settings) == dict.fromkeys(queues.QUEUES, FOREIGN)
        finally:
            second.stop()
        made.proof(
            f"{FOREIGN} foreign messages in each of {len(queues.QUEUES)} queues of the same names stayed; predictions:"
            f" p99 {1000 * alone:.0f} ms alone, {1000 * shared:.0f} ms beside a second installation"
            f" (medians {1000 * usual:.0f}, {1000 * median:.0f})"
        )
        assert shared <= max(2 * alone, 0.25), "0.25 s is the service's own goal"
        made.accepted |= dict.fromkeys(made.sealed() - made.accepted.keys(), 1)  # the predictions
        assert len(made.accepted) == 3 * PREDICTIONS + 1
        made.check(most_extra=0)


def contained(role: str) -> list[str]:
    """The command of a role in a process-id namespace of its own, as a container has it, under this host's name."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [str(UNSHARE), *user, "--pid", "--fork", "--mount-proc", "--kill-child", *COMMANDS[role]]


@pytest.mark.row(38)
@pytest.mark.skipif(UNSHARE is None, reason="needs unshare (util-linux)")
def test_two_containers_with_one_host_name_end_no_lease_of_each_other(
    tmp_path: Path, artifact: Path, many: Many, report_rig: Callable[[Rig], Rig]
) -> None:
    with rig(tmp_path, [artifact], processes=("web",)) as made:
        report_rig(made)
        slow = made.fault_env("worker.claimed=sleep0.5", GONOGO_WORKERS="1")
        since = time.time()
        for name in ("bulk-a", "bulk-b"):
            made.stack.spawn(name, contained("bulk"), slow)
        for name in ("sweep-a", "sweep-b"):
            made.stack.spawn(name, contained("sweep"), slow)
        pids = made.wait_workers(since, 2)
        batch_id = made.submit(many(24 * CHUNK_ITEMS))
        until(lambda: len({row.host for row in made.held(batch_id)}) == 2, 60, "both hold chunks")
        names = {str(row.host).partition("/")[0] for row in made.held(batch_id)}
        assert names <= {socket.gethostname()}
        assert max(pids) < 1000, f"process ids of the containers' own: {pids}"
        assert made.finish(batch_id, 120).succeeded == 24 * CHUNK_ITEMS
        assert {item.attempts for item in made.items(batch_id)} == {1}
        assert made.event("lease_expired") == 0
        made.proof(
            f"two containers named {socket.gethostname()} held chunks as processes {pids} of their own; two swept"
        )
        made.check(most_extra=0)
