"""The pack: many images in one file.

The upload writes a pack while it reads the body, then syncs and renames it before any row names it. A file for each
image would cost a sync for each image; a pack costs one sync for about a hundred.
"""

import os
from pathlib import Path

from shared.blobs import disk, files

# The kernel takes at most 1024 pieces in one call.
_WRITE_BYTES, _WRITE_PIECES = 2**18, 1000


class PackWriter:
    """Writes one pack. `close()` makes it durable under its final name; `abandon()` removes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_suffix(".tmp")
        with disk.errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.temporary.open("w+b", buffering=0)
        self.size = 0
        self._waiting: list[bytes | memoryview] = []
        self._waiting_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes. The caller must not change them afterwards: the writer keeps a reference and copies nothing."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self.size += len(data)
        if self._waiting_bytes >= _WRITE_BYTES or len(self._waiting) == _WRITE_PIECES:
            self._write_out()

    def _write_out(self) -> None:
        pieces, self._waiting = self._waiting, []
        size, self._waiting_bytes = self._waiting_bytes, 0
        with disk.errors():
            # A single system call writes all pieces. It may write less, for example on a nearly full disk; the second
            # call for the rest then raises the reason.
            written = os.writev(self.file.fileno(), pieces)
            if written < size:
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self.file.fileno(), rest) :]

    def truncate(self, size: int) -> None:
        """Remove the bytes after the first `size`, such as the first half of a refused image."""
        self._write_out()
        with disk.errors():
            self.file.seek(size)
            self.file.truncate(size)
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were written."""
        self._write_out()
        return os.pread(self.file.fileno(), length, offset)

    def close(self) -> None:
        self._write_out()
        with disk.errors():
            os.fdatasync(self.file.fileno())
            self.file.close()
            self.temporary.rename(self.path)
            files.sync_folder(self.path.parent)

    def abandon(self) -> None:
        self.file.close()
        self.temporary.unlink(missing_ok=True)
