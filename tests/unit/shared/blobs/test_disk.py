"""A single judgement says that a disk is full, whoever meets it first, and one Retry-After goes with it."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from shared.blobs import disk
from shared.blobs.store import BlobStore
from shared.errors import Unavailable
from web.http.problems import as_problem

PLACES = ["the system", "SQLite", "PostgreSQL", "a pack"]


def full_sqlite() -> DBAPIError:
    """The error of a real SQLite that may not grow."""
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("PRAGMA max_page_count = 2"))
        connection.execute(text("CREATE TABLE t (x)"))
        with pytest.raises(DBAPIError) as raised:
            connection.execute(text("INSERT INTO t VALUES (zeroblob(100000))"))
    return raised.value


def full_postgresql() -> DBAPIError:
    class DiskFull(Exception):
        sqlstate = "53100"

    return DBAPIError("INSERT", {}, DiskFull("could not extend file: No space left on device"))


def full_pack(folder: Path) -> Unavailable:
    pack = BlobStore(folder).write_pack("bat_0a", 0)
    pack.file.close()
    pack.file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - closed by abandon()
    pack.write(b"x")
    with pytest.raises(Unavailable) as raised:
        pack.close()
    pack.abandon()
    return raised.value


@pytest.mark.parametrize("place", PLACES)
def test_every_full_disk_is_answered_alike(place: str, tmp_path: Path) -> None:
    causes: dict[str, Callable[[], Exception]] = {
        "the system": lambda: OSError(errno.EDQUOT, "quota"),
        "SQLite": full_sqlite,
        "PostgreSQL": full_postgresql,
        "a pack": lambda: full_pack(tmp_path),
    }
    problem = as_problem(causes[place]())
    assert (problem.status, problem.code, problem.retry_after_s) == (503, "storage_full", disk.RETRY_AFTER_S)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "broken"), sqlite3.OperationalError("locked"), ValueError("full"), SimpleNamespace],
)
def test_other_errors_are_no_full_disk(error: Exception) -> None:
    assert not disk.is_full(error)


def test_room_counts_what_is_coming() -> None:
    assert disk.has_room(100, least=60)
    assert disk.has_room(100, least=60, coming=40)
    assert not disk.has_room(100, least=60, coming=41)


def test_a_folder_that_does_not_exist_yet_has_the_room_of_its_parent(tmp_path: Path) -> None:
    assert abs(disk.free_bytes(tmp_path / "a" / "b") - disk.free_bytes(tmp_path)) < 2**30


def test_a_failed_write_of_a_whole_file_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.fsync", refuse)
    store = BlobStore(tmp_path)
    with pytest.raises(Unavailable):
        store.put(tmp_path / "models" / "a.gonogo", b"x")
    assert list((tmp_path / "models").iterdir()) == []
