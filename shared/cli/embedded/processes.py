"""Child processes that cannot be lost: each leads a session, dies with us, and is known by pid and birth.

A pid alone identifies no process, since the kernel gives it out again; pid and moment of birth together do.
The kernel's death signal exists on Linux alone: elsewhere a killed supervisor leaves its children running.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Identity:
    """A process; `born` counts hundredths of a second since the machine's start."""

    pid: int
    session: int
    born: int


def identity(pid: int) -> Identity | None:
    """The live process that has this pid now; None for a zombie or a free pid."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        # psutil tells a wall-clock time, which a corrected clock moves; the boot time moves with it.
        born = round(100 * (process.create_time() - psutil.boot_time()))
        return Identity(pid, session=os.getsid(pid), born=born)
    except (psutil.Error, ProcessLookupError):
        return None


def boot_id() -> str:
    """A name of the machine's life since its last start: a pid recorded before that names no process of today."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def members(leader: Identity, mark: str) -> Iterator[Identity]:
    """The leader, if it lives, and its descendants: same session, not older, `mark` in their environment."""
    for pid in psutil.pids():
        try:
            if os.getsid(pid) != leader.session:  # cheaper than asking for the identity of every process
                continue
        except OSError:
            continue
        found = identity(pid)
        if found is None or found.session != leader.session or found.born < leader.born:
            continue
        if pid == leader.pid:
            if found.born == leader.born:
                yield found
        elif _carries(pid, mark):
            yield found


def _carries(pid: int, mark: str) -> bool:
    name, _, value = mark.partition("=")
    try:
        return psutil.Process(pid).environ().get(name) == value
    except (psutil.Error, OSError):
        return False


def kill(one: Identity, number: int) -> None:
    """Signal this process; do nothing if another process has its pid by now."""
    if identity(one.pid) == one:
        with suppress(ProcessLookupError):
            os.kill(one.pid, number)


def start(
    argv: Sequence[str],
    environment: dict[str, str],
    *,
    log: Path | None = None,
    death_signal: int = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own; the kernel sends it `death_signal` when we die.

    Call it from the main thread: the signal is sent when the thread that started the child ends.
    """
    output = (
        subprocess.DEVNULL if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    )
    try:
        return subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509 - no thread runs when children start
        )
    finally:
        if log is not None:
            os.close(output)


def die_with_parent(number: int) -> Callable[[], None]:
    """For `preexec_fn`: the kernel sends the child this signal when its parent dies (Linux)."""
    parent = os.getpid()

    def ask() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
            if os.getppid() != parent:  # it died in between
                os._exit(1)

    return ask


def wait_until(condition: Callable[[], bool], seconds: float, pause_s: float = 0.05) -> bool:
    """Whether the condition came true in time."""
    ends_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= ends_at:
            return False
        time.sleep(pause_s)
    return True
