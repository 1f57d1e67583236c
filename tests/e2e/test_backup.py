"""A backup taken from a running service is a data dir: started elsewhere, it goes on where the copy was taken."""

import contextlib
import json
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.images import jpegs
from tests.harness.processes import processes_of
from tests.harness.service import Up, gonogo

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    one = Up(tmp_path / "data", GONOGO_CHUNK_ITEMS="32")
    try:
        yield one.wait_ready()
    finally:
        one.end()


def count(data_dir: Path, query: str) -> int:
    with closing(sqlite3.connect(data_dir / "gonogo.db")) as database:
        return int(database.execute(query).fetchone()[0])


@contextlib.contextmanager
def halted(data_dir: Path) -> Iterator[None]:
    """The bulk worker and its children stand still, so that the batch is half done however fast they are."""
    mains = [one for one in processes_of(data_dir) if "worker bulk" in " ".join(one.cmdline())]
    assert mains
    every = [*mains, *(child for one in mains for child in one.children(recursive=True))]
    for process in every:
        process.suspend()
    try:
        yield
    finally:
        for process in every:
            process.resume()


def test_a_batch_that_was_half_done_is_ended_by_the_copy_each_item_once_and_a_copy_is_whole_or_refused(
    up: Up, tmp_path: Path
) -> None:
    files = jpegs(600, seed=21)
    with up.client() as client:
        ended = client.wait(client.submit(jpegs(8, seed=20))["id"], timeout_s=60)
        running = client.submit(files)["id"]
        while client.batch(running)["counts"]["succeeded"] == 0:
            pass
        with halted(up.data_dir):
            made = gonogo("backup", str(tmp_path / "copy"), "--data-dir", str(up.data_dir), "--json")
        assert made.returncode == 0, made.stderr
        # The service was not disturbed.
        assert client.wait(running, timeout_s=120)["counts"]["succeeded"] == 600
    assert up.stop() == 0
    figures = json.loads(made.stdout)
    assert (figures["batches"], figures["items"]) == (2, 608)

    copy = tmp_path / "copy"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    open_to_others = [path for path in copy.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_to_others == []
    assert stat.S_IMODE((copy / "admin-key").stat().st_mode) == 0o600
    done_then = count(copy, "SELECT count(*) FROM items WHERE status = 'succeeded'") - 8
    assert 0 < done_then < 600  # or this test has shown nothing

    restored_dir = tmp_path / "restored"
    shutil.copytree(copy, restored_dir)
    restored_dir.chmod(0o700)
    with closing(sqlite3.connect(restored_dir / "gonogo.db")) as witness:
        witness.execute("CREATE TABLE decided (batch_id text, seq integer)")
        witness.execute(
            "CREATE TRIGGER decided AFTER UPDATE OF status ON items WHEN NEW.status = 'succeeded'"
            " BEGIN INSERT INTO decided VALUES (NEW.batch_id, NEW.seq); END"
        )
        witness.commit()
    restored = Up(restored_dir)
    try:
        with restored.wait_ready().client() as client:  # with the key that the copy holds
            batch = client.wait(running, timeout_s=120)
            assert batch["counts"]["succeeded"] == batch["counts"]["total"] == 600
            assert client.batch(ended["id"])["verdicts"] == ended["verdicts"]
        assert restored.stop() == 0
    finally:
        restored.end()
    assert count(restored_dir, "SELECT count(*) FROM decided") == 600 - done_then
    assert count(restored_dir, "SELECT count(*) FROM (SELECT DISTINCT * FROM decided)") == 600 - done_then
    _a_copy_that_cannot_be_whole_is_refused_and_leaves_nothing(up.data_dir, running)


def _a_copy_that_cannot_be_whole_is_refused_and_leaves_nothing(data_dir: Path, batch_id: str) -> None:
    copies = data_dir.parent / "copies"
    copies.mkdir()
    source = ["--data-dir", str(data_dir)]
    for target, of in ((data_dir, source), (data_dir / "in", source), (copies / "a", [])):
        refused = gonogo("backup", str(target), *of, GONOGO_DATA_DIR=str(copies / "none"))
        assert refused.returncode == 2, refused.stdout
    assert gonogo("backup", str(copies / "b"), *source, GONOGO_BLOB_URL="file:///x").returncode == 2
    good = gonogo("backup", str(copies / "good"), *source)  # of a service that does not run
    assert good.returncode == 0, good.stderr
    next((data_dir / "blobs").glob(f"batches/*/{batch_id}/*.pack")).unlink()
    failed = gonogo("backup", str(copies / "bad"), *source)
    assert failed.returncode == 1
    assert "is not whole" in failed.stderr
    assert sorted(path.name for path in copies.iterdir() if path.is_dir()) == ["good"]
