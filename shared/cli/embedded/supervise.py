"""Keep a set of children running, and end them in order, whatever programs they are."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded.processes import Identity, identity, kill, members, start, wait_until

_STEADY_S = 30.0  # a child that lived this long has started well: its failures count from zero
_LONGEST_PAUSE_S = 30.0
_LOG_BYTES = 32 * 2**20


@dataclass
class Child:
    """A process to keep running."""

    name: str
    argv: list[str]
    death_signal: int = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None
    born: Identity | None = None
    began: float = 0.0
    failures: int = 0
    status: int | None = None  # of its last end
    due: float = 0.0  # when to start it again
    heal: Callable[[int], None] | None = None  # takes the status of an early end, before the next start


@dataclass
class Children:
    """The children of one stack, in the order of their start."""

    data_dir: Path
    environment: dict[str, str]
    say: Callable[[str], None]
    all: list[Child] = field(default_factory=list)

    def log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def add(self, child: Child) -> Child:
        """Start a child and keep it from now on."""
        self.all.append(child)
        self._start(child)
        return child

    def run(self, name: str, argv: list[str], timeout_s: float, hurry: Callable[[], bool]) -> int:
        """Run a child to its end, with its output in its log; returns its exit status, or 124 if we ended it."""
        process = start(argv, self.environment, log=self.log(name))
        try:
            wait_until(lambda: process.poll() is not None or hurry(), timeout_s, pause_s=0.02)
            return 124 if process.returncode is None else process.returncode
        finally:
            process.kill()
            process.wait()

    def look_after(self) -> None:
        """Start dead children again, after a pause that grows with each failure."""
        now = time.monotonic()
        for child in self.all:
            if child.process is None:
                if now >= child.due:
                    self._start(child)
            elif (status := child.process.poll()) is not None:
                self._end_rest(child)
                child.process, child.status = None, status
                if now - child.began > _STEADY_S:
                    child.failures = 0
                elif child.heal is not None:
                    child.heal(status)
                pause = self._put_off(child)
                self.say(
                    f"{child.name} ended ({_how(status)}), again in {pause:g} s; see {self.log(child.name)}"
                )

    def stop(self, children: Iterable[Child], grace_s: float, hurry: Callable[[], bool]) -> None:
        """Ask children to end; kill those that are left after the grace, or as soon as `hurry` says so."""
        asked = [child for child in children if child.process is not None]
        for child in asked:
            assert child.process is not None
            child.process.terminate()

        def gone() -> bool:
            return all(child.process is None or child.process.poll() is not None for child in asked)

        wait_until(lambda: gone() or hurry(), grace_s)
        for child in asked:
            if child.process is not None and child.process.poll() is None:
                self.say(f"{child.name} did not end in time and is killed")
                child.process.kill()
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(5.0)
            self._end_rest(child)
            child.process = None

    def trim_logs(self) -> None:
        """Move the content of a long log to `.log.1`; children append, so they go on in the emptied file."""
        for child in self.all:
            log = self.log(child.name)
            with suppress(OSError):  # on a full disk, a long log is better than no supervisor
                if log.stat().st_size > _LOG_BYTES:
                    log.with_suffix(".log.1").write_bytes(log.read_bytes())
                    os.truncate(log, 0)

    def _start(self, child: Child) -> None:
        """Start a child; if the system refuses (no room, no memory), try again later."""
        try:
            child.process = start(
                child.argv, self.environment, log=self.log(child.name), death_signal=child.death_signal
            )
            child.began = time.monotonic()
            child.born = identity(child.process.pid)
            data_dirs.record(self.data_dir, {one.name: one.born for one in self.all if one.born is not None})
        except OSError as error:
            if child.process is None:
                self.say(f"{child.name} could not be started: {error}; again in {self._put_off(child):g} s")

    def _put_off(self, child: Child) -> float:
        """Count one more failure; the seconds until the next start."""
        child.failures += 1
        pause = min(_LONGEST_PAUSE_S, 0.25 * 2.0 ** min(child.failures, 10))
        child.due = time.monotonic() + pause
        return pause

    def _end_rest(self, child: Child) -> None:
        """End the children that a dead child left: they would hold its port and its leases."""
        if child.born is not None:
            for one in members(child.born, data_dirs.mark(self.data_dir)):
                kill(one, signal.SIGKILL)


def _how(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"signal {-status}"
