"""A dead process is told from one of another container with the same host name and process id."""

import os
import shutil
import subprocess
import sys

import pytest

from worker import process
from worker.process import is_gone, place

PRINT = "from worker.process import place; print(place())"


def dead_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    return ended.pid


def test_a_dead_process_of_this_place_is_gone_and_a_live_one_is_not() -> None:
    assert is_gone(place(), dead_pid())
    assert not is_gone(place(), os.getpid())
    assert not is_gone(place(), None)


def test_a_process_started_here_has_the_same_place() -> None:
    said = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == place()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs util-linux")
def test_a_container_with_the_same_host_name_is_another_place() -> None:
    command = ["unshare", "-Urpf", "--mount-proc", sys.executable, "-c", PRINT]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        pytest.skip(f"this machine forbids namespaces: {said.stderr.strip()}")
    other = said.stdout.strip()
    assert other.partition("/")[0] == place().partition("/")[0]
    assert other != place()
    assert not is_gone(other, dead_pid())


@pytest.mark.parametrize("at", ["", None, "host", "another/boot/pid:[1]"])
def test_of_a_process_elsewhere_nothing_is_known(at: str | None) -> None:
    assert not is_gone(at, dead_pid())


def test_without_proc_nothing_is_known_of_a_process_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "place", lambda: "host//")
    assert not is_gone("host//", dead_pid())
