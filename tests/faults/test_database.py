"""Rows 12, 14 and 15: the database goes away, fills its disk, or is locked by somebody else."""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from shared.store.tables import ApiKey
from tests.faults.rig import CHUNK_ITEMS, Rig, rig
from tests.harness.databases import create_database, start_postgres
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)


@pytest.fixture
def server() -> Iterator[Any]:
    """A PostgreSQL server of this test's own, since it is going to be killed."""
    made = start_postgres()
    yield made
    made.cleanup()


@pytest.mark.row(46)
@pytest.mark.row(12)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_postgresql_ends_and_starts_again(
    server: Any,
    artifact: Path,
    many: Many,
    tmp_path: Path,
    report_rig: Callable[[Rig], Rig],
    how: signal.Signals,
) -> None:
    _, url = create_database(server.get_uri())
    with rig(tmp_path, [artifact], "postgresql", database_url=url) as ill:
        report_rig(ill)
        ill.restart("bulk", "worker.claimed=sleep0.2")
        batch_id = ill.submit(many(60 * CHUNK_ITEMS), views=4)
        until(lambda: ill.batch(batch_id).succeeded >= CHUNK_ITEMS, 60, "the first chunk is done")
        pid = server.get_pid()
        os.kill(pid, how)
        until(lambda: not _alive(pid), 30, "the postmaster is gone")
        # A child that starts while the database is away must come to have a heartbeat nevertheless.
        os.kill(min(ill.stack.children("bulk")), signal.SIGKILL)
        status, headers, _ = ill.stack.request("GET", f"/v1/batches/{batch_id}")
        assert (status, "retry-after" in headers) == (503, True)
        assert ill.stack.request("GET", "/livez")[0] == 200
        time.sleep(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server.ensure_postgres_running()
        assert server.get_pid() != pid
        back_at = time.monotonic()
        until(lambda: _answers(ill), 30, "PostgreSQL answers")
        before_count = ill.done()
        until(lambda: ill.done() > before_count, 60, "the next chunk is recorded")
        ill.proof(f"the postmaster ended by {how.name}; the web said 503 with Retry-After meanwhile")
        ill.recovered(time.monotonic() - back_at, 10)
        ill.finish(batch_id)
        assert ill.stack.request("GET", f"/v1/batches/{batch_id}")[0] == 200
        ill.check(most_extra=4 * CHUNK_ITEMS)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def _answers(ill: Rig) -> bool:
    try:
        ill.done()
    except Exception:  # whatever a starting server says
        return False
    return True


@pytest.mark.row(15)
@pytest.mark.parametrize("shared", ["sqlite"], indirect=True)
def test_sqlite_is_locked_for_ten_seconds(ill: Rig, many: Many) -> None:
    ill.restart("bulk", "worker.claimed=sleep0.2")
    # An upload that waits for the lock has its bytes on the disk and no row yet. By default such bytes have an hour;
    # the rig's four seconds are less than this lock.
    ill.restart("sweep", GONOGO_ORPHAN_S="60")
    batch_id = ill.submit(many(40 * CHUNK_ITEMS))
    until(lambda: ill.batch(batch_id).succeeded >= CHUNK_ITEMS, 60, "the first chunk is done")
    statuses: list[int] = []
    uploads: list[str] = []
    with ill.database.write() as connection:  # that a key was used is due to be noted, which needs the lock
        connection.execute(update(ApiKey).values(last_used_at=None))
    foreign = sqlite3.connect(str(ill.database.engine.url.database), isolation_level=None)
    foreign.execute("BEGIN EXCLUSIVE")
    before = ill.done()
    sender = threading.Thread(target=lambda: uploads.append(ill.submit(many(CHUNK_ITEMS))))
    sender.start()
    locked_at = time.monotonic()
    while time.monotonic() - locked_at < 10:
        statuses.append(ill.stack.request("GET", f"/v1/batches/{batch_id}")[0])
        time.sleep(0.3)
    during = ill.done()
    foreign.execute("ROLLBACK")
    foreign.close()
    took = ill.time_until(lambda: ill.done() > during, 60, "work goes on")
    sender.join(60)
    ill.proof(f"nothing was recorded for 10 s (it grew by {during - before} items), {len(statuses)} reads")
    ill.recovered(took, 5)
    assert set(statuses) == {200}
    ill.restart("bulk")
    ill.restart("sweep")
    for one in (batch_id, *uploads):
        ill.finish(one)
    assert len(uploads) == 1
    # The leases of two chunks may run out behind the lock, and the restart kills the workers of two more.
    ill.check(most_extra=4 * CHUNK_ITEMS)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 32 MB, where this user may mount one."""
    folder = Path(tempfile.mkdtemp(prefix="gonogo-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no right to mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def _fill(folder: Path) -> Path:
    """Take every byte that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass
    return ballast


@pytest.mark.row(13)
def test_the_disk_of_the_blobs_fills_up(
    small_disk: Path, artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig]
) -> None:
    _fill_up(13, small_disk, artifact, many, tmp_path, report_rig)


@pytest.mark.row(14)
def test_the_disk_of_the_database_fills_up(
    small_disk: Path, artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig]
) -> None:
    _fill_up(14, small_disk, artifact, many, tmp_path, report_rig)


def _fill_up(
    row: int, small_disk: Path, artifact: Path, many: Many, folder: Path, remember: Callable[[Rig], Rig]
) -> None:
    (folder / "run").mkdir(mode=0o700)  # the web refuses one that others can read
    url = f"sqlite:///{(small_disk if row == 14 else folder) / 'gonogo.db'}"
    blobs = small_disk / "blobs" if row == 13 else folder / "blobs"
    with rig(folder / "run", [artifact], database_url=url, blob_url=f"file://{blobs}") as ill:
        remember(ill)
        ill.restart("bulk", "worker.claimed=sleep0.2")
        batch_id = ill.submit(many(40 * CHUNK_ITEMS))
        until(lambda: ill.batch(batch_id).succeeded >= CHUNK_ITEMS, 60, "the first chunk is done")
        ballast = _fill(small_disk)
        status, headers, body = ill.stack.post_batch(many(200), {})
        assert (status, "retry-after" in headers) == (503, True), body
        assert b"storage_full" in body
        if row == 13:
            ill.finish(batch_id)  # what was accepted goes on
        assert ill.stack.request("GET", f"/v1/batches/{batch_id}")[0] == 200
        free = shutil.disk_usage(small_disk).free
        ballast.unlink()
        took = ill.time_until(lambda: ill.batch(batch_id).finished_at is not None, 90, "the batch ends")
        again = ill.submit(many(200))
        ill.finish(again)
        ill.proof(f"{free} bytes were free, an upload got 503 storage_full and left nothing")
        ill.recovered(took, 60)
        if row == 14:
            with sqlite3.connect(small_disk / "gonogo.db") as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ill.check(most_extra=4 * CHUNK_ITEMS)
