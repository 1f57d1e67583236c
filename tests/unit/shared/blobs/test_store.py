"""Stored bytes: whole under their final name or not there."""

import errno
import os
from pathlib import Path

import pytest

from shared import failpoints
from shared.blobs.store import BlobStore
from shared.errors import Unavailable
from shared.ids import new_id

BATCH = "bat_0000000000000000000000000a"


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(store: BlobStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def test_a_pack_appears_under_its_name_only_when_it_is_whole(store: BlobStore) -> None:
    pack = store.write_pack(BATCH, 0)
    pack.write(b"one")
    pack.write(memoryview(b"two"))
    with pytest.raises(FileNotFoundError):
        store.open_pack(BATCH, 0)
    pack.close()
    assert files(store) == [f"batches/0a/{BATCH}/000000.pack"]
    assert (store.read(BATCH, 0, 0, 3), store.read(BATCH, 0, 3, 3)) == (b"one", b"two")


def test_an_abandoned_pack_leaves_nothing(store: BlobStore) -> None:
    pack = store.write_pack(BATCH, 0)
    pack.write(b"x" * 1_000_000)
    pack.abandon()
    assert files(store) == []


def test_the_bytes_of_a_refused_image_are_taken_back(store: BlobStore) -> None:
    pack = store.write_pack(BATCH, 0)
    pack.write(b"good")
    pack.write(b"x" * 1_000_000)
    pack.truncate(4)
    pack.write(b"next")
    pack.close()
    assert pack.size == 8
    assert store.pack_path(BATCH, 0).read_bytes() == b"goodnext"


def test_thousands_of_pieces_keep_their_order(store: BlobStore) -> None:
    pieces = [number.to_bytes(2, "big") for number in range(2500)]
    pack = store.write_pack(BATCH, 0)
    for piece in pieces:
        pack.write(memoryview(piece))
    pack.close()
    assert store.pack_path(BATCH, 0).read_bytes() == b"".join(pieces)


def test_a_write_that_the_kernel_cut_short_is_finished(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda file, pieces: writev(file, [b"".join(pieces)[:5]]))
    pack = store.write_pack(BATCH, 0)
    for piece in (b"one", b"two", b"three"):
        pack.write(piece)
    pack.close()
    assert store.pack_path(BATCH, 0).read_bytes() == b"onetwothree"


def test_deleting_a_batch_leaves_its_neighbours(store: BlobStore) -> None:
    other = BATCH[:-2] + "1a"
    for batch_id in (BATCH, other):
        store.write_pack(batch_id, 0).close()
    store.delete_batch(BATCH)
    store.delete_batch(BATCH)
    assert list(store.batch_ids()) == [other]


def test_every_batch_with_bytes_is_listed(store: BlobStore) -> None:
    assert list(store.batch_ids()) == []
    made = {new_id("bat") for _ in range(50)}
    for batch_id in made:
        store.write_pack(batch_id, 0).close()
    assert set(store.batch_ids()) == made


def test_one_file_is_put_whole_and_may_be_put_again(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"artifact")
    path = store.artifact_path("f" * 64)
    for _ in range(2):
        store.put_file(tmp_path / "source", path)
    assert path.read_bytes() == b"artifact"
    assert len(files(store)) == 1


def test_a_full_disk_is_said_to_be_one(store: BlobStore) -> None:
    pack = store.write_pack(BATCH, 0)
    pack.file.close()
    pack.file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - closed by abandon()
    pack.write(b"x")
    with pytest.raises(Unavailable) as refused:
        pack.close()
    assert (refused.value.code, refused.value.permanent) == ("storage_full", False)
    pack.abandon()
    assert files(store) == []


def test_another_disk_error_is_not_taken_for_a_full_disk(store: BlobStore) -> None:
    pack = store.write_pack(BATCH, 0)
    pack.file.close()
    pack.file = open("/dev/null", "rb")  # type: ignore[assignment]  # noqa: SIM115 - closed by abandon()
    pack.write(b"x")
    with pytest.raises(OSError) as refused:
        pack.close()
    assert not isinstance(refused.value, Unavailable)
    assert refused.value.errno != errno.ENOSPC
    pack.abandon()


def test_free_room_is_that_of_the_stores_own_disk(store: BlobStore) -> None:
    status = os.statvfs(store.root.parent)
    assert abs(store.free_bytes() - status.f_bavail * status.f_frsize) < 10 * 2**30


def test_failpoints_are_off_unless_a_test_sets_them() -> None:
    assert failpoints.parse("") == {}
    assert failpoints.parse("a=kill*2;b:key=hang") == {"a": ("kill", 2), "b:key": ("hang", 1_000_000)}
    failpoints.hit("worker.decode", "x")


@pytest.mark.parametrize("left", [None, b"", bytes(9), b"artifacX", b"artifact and more"])
def test_a_spoiled_copy_is_told_from_a_whole_one(tmp_path: Path, left: bytes | None) -> None:
    """Each start keeps the shipped artifacts again where a disk has spoiled them."""
    source, store = tmp_path / "source", BlobStore(tmp_path / "store")
    source.write_bytes(b"artifact")
    path = store.artifact_path("ab" * 32)
    if left is not None:
        store.put(path, left)
    assert not store.holds(path, source)
    store.put_file(source, path)
    assert store.holds(path, source)
