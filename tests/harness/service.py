"""The embedded stack as a user starts it: `gonogo up` as a process, in a data dir and on a port of its own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from shared.client.client import Client
from tests.harness.processes import ROOT, environment, free_port, processes_of

# Runs a command with these arguments and environment variables, to its end.
Run = Callable[..., subprocess.CompletedProcess[str]]
GONOGO = [sys.executable, "-m", "shared.cli.main"]


def gonogo(
    *argv: str, timeout_s: float = 60.0, env: dict[str, str] | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*GONOGO, *argv],
        check=False,
        env=environment(**(env or {}), **extra),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=ROOT,
    )


class Up:
    """A `gonogo up`. `lines` has its output after it is ready or has ended."""

    def __init__(self, data_dir: Path, *, port: int | None = None, **extra: str) -> None:
        self.data_dir, self.port = data_dir, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        self.output = data_dir.parent / f"{data_dir.name[-40:]}-{self.port}-{time.monotonic_ns()}.out"
        argv = [*GONOGO, "up", "--data-dir", str(data_dir), "--port", str(self.port), "--workers", "1"]
        quick = {"GONOGO_LEASE_S": "4", "GONOGO_HEARTBEAT_S": "1", "GONOGO_SWEEP_S": "1"}
        quick |= {"GONOGO_CLOCK_SETTLE_S": "0", **extra}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                argv, env=environment(**quick), stdout=output, stderr=subprocess.STDOUT, cwd=ROOT
            )

    @property
    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def wait_ready(self, seconds: float = 60.0) -> "Up":
        ends_at = time.monotonic() + seconds
        while not any(line.startswith("ready: ") for line in self.lines):
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < ends_at, self.lines
            time.sleep(0.05)
        return self

    def client(self) -> Client:
        return Client(self.url, (self.data_dir / "admin-key").read_text().strip(), patience_s=30)

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    @contextmanager
    def workers_stopped(self) -> Iterator[None]:
        """Stop every worker process meanwhile, so that no batch can end."""
        workers = [process for process in processes_of(self.data_dir) if "worker" in process.cmdline()]
        assert workers, "no worker process of this data dir runs"
        for process in workers:
            process.suspend()
        try:
            yield
        finally:
            for process in workers:
                process.resume()

    def kill(self) -> None:
        """kill -9 of the supervisor alone."""
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """Kill every process that still runs, whatever the test has done."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for process in processes_of(self.data_dir):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
