"""Children are kept running, and end when asked or when the grace is over."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.cli.embedded.processes import identity, wait_until
from shared.cli.embedded.supervise import Child, Children

STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def children(tmp_path: Path, said: list[str]) -> Children:
    folder = tmp_path.resolve()
    (folder / "logs").mkdir()
    return Children(folder, {**os.environ, "GONOGO_DATA_DIR": str(folder)}, said.append)


def look_until(children: Children, condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    def look() -> bool:
        children.look_after()
        return condition()

    return wait_until(look, seconds)


def test_a_child_that_keeps_dying_is_started_later_and_later(children: Children, said: list[str]) -> None:
    began = time.monotonic()
    child = children.add(Child("web", ["sh", "-c", "echo away; exit 3"]))
    assert look_until(children, lambda: child.failures == 3)
    assert time.monotonic() - began > 0.5 + 1.0
    assert "web ended (status 3), again in 0.5 s" in said[0]
    assert children.log("web").read_text().count("away") == 3
    children.stop(children.all, 1.0, lambda: False)


def test_a_program_that_is_not_there_does_not_end_the_supervisor(children: Children, said: list[str]) -> None:
    child = children.add(Child("web", ["/no/such/program"]))
    children.look_after()
    assert child.failures == 1
    assert "could not be started" in said[0]


def test_who_does_not_end_in_time_is_killed_with_what_it_started(children: Children, said: list[str]) -> None:
    child = children.add(Child("worker", STUBBORN))
    assert child.born is not None
    time.sleep(0.3)  # until its trap is set
    children.stop([child], 0.3, lambda: False)
    assert identity(child.born.pid) is None
    assert said == ["worker did not end in time and is killed"]


@pytest.mark.pace
def test_a_second_signal_shortens_the_grace(children: Children) -> None:
    child = children.add(Child("worker", STUBBORN))
    time.sleep(0.3)
    began = time.monotonic()
    children.stop([child], 60.0, lambda: True)
    assert time.monotonic() - began < 20


def test_a_long_log_is_cut_and_one_before_it_is_kept(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.cli.embedded.supervise._LOG_BYTES", 1000)
    child = children.add(Child("web", ["sh", "-c", "head -c 5000 /dev/zero | tr '\\0' x; sleep 60"]))
    assert wait_until(lambda: children.log("web").stat().st_size == 5000, 5)
    children.trim_logs()
    assert children.log("web").stat().st_size == 0
    assert (children.data_dir / "logs" / "web.log.1").stat().st_size == 5000
    children.stop([child], 2.0, lambda: False)
