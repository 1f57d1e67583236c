"""Child processes that cannot be lost: each leads a session, dies with us, and is known by pid and birth.

A pid alone names nobody, since the kernel gives it out again; with the moment the process began it does.
Linux tells both in /proc. Elsewhere a child is started and stopped in the same way, but a supervisor that was
killed leaves it to the person.
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

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Identity:
    """One process and nobody else: `born` counts clock ticks since the machine's start."""

    pid: int
    session: int
    born: int


def identity(pid: int) -> Identity | None:
    """Who has this pid now; None for nobody, or where there is no /proc. A zombie is nobody."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *numbers = stat.rpartition(")")[2].split()
    return None if state == "Z" else Identity(pid, session=int(numbers[2]), born=int(numbers[18]))


def boot_id() -> str:
    """The machine's current life: what was written before a restart names no process of today."""
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def members(leader: Identity, mark: str) -> Iterator[Identity]:
    """The leader, where it lives, and what it started: same session, not older, `mark` in its environment."""
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()] if _PROC.is_dir() else []
    for pid in pids:
        found = identity(pid)
        if found is None or found.session != leader.session or found.born < leader.born:
            continue
        if pid == leader.pid:
            if found.born == leader.born:
                yield found
        elif _carries(pid, mark):
            yield found


def _carries(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def kill(one: Identity, number: int) -> None:
    """Signal exactly this process: nothing happens when another has its pid by now."""
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

    Must be called by the main thread: the kernel counts the death of the thread that started the child.
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
