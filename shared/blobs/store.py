"""The blob store: many pictures in one pack, a folder a batch, artifacts by their sha256.

A pack is written as the upload is read, synced and renamed before any row names it. One file a picture would
cost a sync a picture; a pack costs one for about a hundred.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shared.errors import Unavailable

_FULL = (28, 122)  # ENOSPC, EDQUOT
_WRITE_BYTES, _WRITE_PIECES = 2**18, 1000  # what a pack takes at a time; the kernel takes 1024 pieces


class BlobStore:
    """Stored bytes below one folder; safe for many processes, since a pack has one writer and is never changed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def batch_folder(self, batch_id: str) -> Path:
        # Two characters of the random tail spread the folders; the head of a UUIDv7 is the time.
        return self.root / "batches" / batch_id[-2:] / batch_id

    def pack_path(self, batch_id: str, pack: int) -> Path:
        return self.batch_folder(batch_id) / f"{pack:06d}.pack"

    def thumbnail_path(self, batch_id: str, seq: int) -> Path:
        return self.batch_folder(batch_id) / "thumbnails" / f"{seq:06d}.jpg"

    def artifact_path(self, sha256: str) -> Path:
        return self.root / "models" / f"{sha256}.gonogo"

    def open_pack(self, batch_id: str, pack: int) -> BinaryIO:
        """A pack for reading; FileNotFoundError where the batch has been purged."""
        return self.pack_path(batch_id, pack).open("rb", buffering=0)

    def read(self, batch_id: str, pack: int, offset: int, length: int) -> bytes:
        """The bytes of one item."""
        with self.open_pack(batch_id, pack) as file:
            return os.pread(file.fileno(), length, offset)

    def put(self, path: Path, data: bytes) -> None:
        """Keep one whole file durably under its final name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        with _disk_errors(), temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)

    def put_file(self, source: Path, path: Path) -> None:
        """Keep a copy of a file durably under its final name."""
        self.put(path, source.read_bytes())

    def spool_folder(self) -> Path:
        """Where uploads that must be read twice wait: on the same disk, so /tmp cannot fill."""
        folder = self.root / "spool"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def delete_batch(self, batch_id: str) -> None:
        """Remove every byte of a batch; not being there is fine."""
        shutil.rmtree(self.batch_folder(batch_id), ignore_errors=True)

    def batch_ids(self) -> Iterator[str]:
        """Every batch that has a folder here."""
        folder = self.root / "batches"
        if folder.is_dir():
            for spread in folder.iterdir():
                yield from (entry.name for entry in spread.iterdir() if entry.is_dir())

    def is_there(self) -> bool:
        """Whether the store itself is: a disk that is not mounted loses nothing, it only has to come back."""
        return (self.root / "batches").is_dir()

    def free_bytes(self) -> int:
        """Free room on the store's disk."""
        self.root.mkdir(parents=True, exist_ok=True)
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize


class PackWriter:
    """Writes one pack. `close()` makes it durable under its final name; `abandon()` removes it."""

    def __init__(self, store: BlobStore, batch_id: str, pack: int) -> None:
        self.path = store.pack_path(batch_id, pack)
        self.temporary = self.path.with_suffix(".tmp")
        with _disk_errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.temporary.open("wb", buffering=0)
        self.size = 0
        self._waiting: list[bytes | memoryview] = []
        self._waiting_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes, which must not change any more: they are kept where they are until enough have come."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self.size += len(data)
        if self._waiting_bytes >= _WRITE_BYTES or len(self._waiting) == _WRITE_PIECES:
            self._write_out()

    def _write_out(self) -> None:
        """All that waits in one system call; where the disk took less, the rest shows why."""
        pieces, self._waiting = self._waiting, []
        size, self._waiting_bytes = self._waiting_bytes, 0
        with _disk_errors():
            written = os.writev(self.file.fileno(), pieces)
            if written < size:
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self.file.fileno(), rest) :]

    def truncate(self, size: int) -> None:
        """Take back what was written after `size`, such as half of a refused picture."""
        self._write_out()
        with _disk_errors():
            self.file.seek(size)
            self.file.truncate(size)
        self.size = size

    def close(self) -> None:
        self._write_out()
        with _disk_errors():
            os.fdatasync(self.file.fileno())
            self.file.close()
            self.temporary.rename(self.path)
            _sync_folder(self.path.parent)

    def abandon(self) -> None:
        self.file.close()
        self.temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _disk_errors:
    """Turns a full disk into the error that the web answers with 503."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise Unavailable("the disk is full", code="storage_full", retry_after_s=30) from error
