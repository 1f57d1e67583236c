"""Ports, environments, waits and ends of the processes that tests start."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a user who has set none of the service's variables except `extra`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GONOGO_")}
    return {**clean, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)), **extra}


def free_port() -> int:
    """A port on which no process listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(check: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Wait until `check` returns a true value and return that value; fail after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.05)


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every live process that has this data dir in its environment or on its command line."""
    found = []
    for process in psutil.process_iter():
        try:
            here = (
                process.environ().get("GONOGO_DATA_DIR") == str(data_dir)
                or str(data_dir) in process.cmdline()
            )
            if here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_until_gone(data_dir: Path, seconds: float) -> list[psutil.Process]:
    """The processes of this data dir that still run after at most `seconds`."""
    ends_at = time.monotonic() + seconds
    while (left := processes_of(data_dir)) and time.monotonic() < ends_at:
        time.sleep(0.1)
    return left


def inference_children(pid: int) -> set[int]:
    """Process ids of the inference processes of a worker; the pool's resource tracker is not one of them."""
    found = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if any("spawn_main" in word for word in child.cmdline()):
                    found.add(child.pid)
    return found


def end_all(processes: list[subprocess.Popen[bytes]], timeout_s: float) -> None:
    """Send SIGTERM to all; kill the process groups of those that still run after `timeout_s` seconds."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
    deadline = time.monotonic() + timeout_s
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
