"""Bulk: one submission of 10,000 images through the real stack, against the bare loop in the same run."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bench import cpu
from shared.settings import Settings
from shared.store.tables import Batch
from tests.harness.stack import FAST, Stack, running

_ENDS_WITHIN_S = 600.0


@dataclass(frozen=True)
class Run:
    """A submission. `cpu_ms` is each process's milliseconds of CPU an image, the client's included."""

    images: int
    seconds: float
    upload_s: float
    cpu_ms: dict[str, float]

    @property
    def speed(self) -> float:
        """Images a second."""
        return self.images / self.seconds


@contextlib.contextmanager
def service(folder: Path, artifact: Path, **changed: Any) -> Iterator[Stack]:
    """The whole stack with the settings that it ships with, but without the cache, since the images repeat."""
    folder.mkdir(parents=True)
    as_shipped = {name: getattr(Settings(), name) for name in FAST}
    with running(folder, [artifact], **{**as_shipped, "cache": "off", **changed}) as stack:
        yield stack


def submit(stack: Stack, images: Path, count: int) -> Run:
    """Send a folder as one batch from a process of its own and wait for the last verdict to be committed.

    The clock starts when the first block of bytes has left the client; its look into the folder is before that.
    """
    families = {name: cpu.family(process.pid) for name, process in stack.processes.items()}
    before = {name: cpu.seconds(pids) for name, pids in families.items()}
    client = subprocess.run(
        [sys.executable, "-m", "bench.bulk", stack.url, str(images)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "GONOGO_API_KEY": stack.key},
        capture_output=True,
        text=True,
        check=True,
        timeout=_ENDS_WITHIN_S,
    )
    told = json.loads(client.stdout)
    finished_at = _finished_at(stack, told["batch"], count)
    used = {name: cpu.seconds(pids) - before[name] for name, pids in families.items()}
    used["client"] = told["cpu_s"]
    return Run(
        images=count,
        seconds=finished_at - told["started_at"],
        upload_s=told["uploaded_at"] - told["started_at"],
        cpu_ms={name: 1000 * seconds / count for name, seconds in used.items()},
    )


def _finished_at(stack: Stack, batch_id: str, count: int) -> float:
    database = stack.database
    query = select(Batch.finished_at, Batch.succeeded).where(Batch.id == batch_id)
    deadline = time.monotonic() + _ENDS_WITHIN_S
    try:
        while time.monotonic() < deadline:
            with database.read() as connection:
                row = connection.execute(query).one()
            if row.finished_at is not None:
                if row.succeeded != count:
                    raise RuntimeError(f"{row.succeeded} of {count} images got a verdict")
                return float(row.finished_at)
            time.sleep(0.1)
    finally:
        database.dispose()
    raise TimeoutError(f"{batch_id} has not ended within {_ENDS_WITHIN_S:.0f} s")


def _client() -> None:
    """The submitting process: what a user of the client library would run."""
    from shared.client.client import Client

    url, folder = sys.argv[1:]
    with Client(url, os.environ["GONOGO_API_KEY"], timeout_s=_ENDS_WITHIN_S) as client:
        client.ready()
        used = time.process_time()
        sent_at: list[float] = []
        batch = client.submit([folder], progress=lambda *_: sent_at.append(time.time()))
        told = {"batch": batch["id"], "started_at": sent_at[0], "uploaded_at": time.time()}
        print(json.dumps({**told, "cpu_s": time.process_time() - used}))


if __name__ == "__main__":
    _client()
