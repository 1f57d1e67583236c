"""A multipart body whose length is known and whose files are never held in memory.

The client's share of the cost of a picture is paid here: small files are read straight into one big block and
sent with it, so that a 17 KB picture costs four system calls and a fraction of a send.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from shared.errors import GonogoError

Source = str | os.PathLike[str] | tuple[str, bytes]
PICTURE_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_BLOCK = 1 << 18
_BIG = 128 << 10
_SLICE = 16 << 20
_ESCAPES = {ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"}


class UnusableInput(GonogoError):
    """What was to be sent is missing, unreadable, or changed while it was being sent."""

    code = "unusable_input"


class Wire(Protocol):
    """Where a body goes: `send` takes a block; `send_file` the next bytes of an open file."""

    def send(self, block: memoryview | bytes) -> None: ...

    def send_file(self, descriptor: int, offset: int, count: int) -> None: ...


class Multipart:
    """One `multipart/form-data` body; it can be written any number of times, with the same bytes."""

    def __init__(self) -> None:
        self._boundary = f"gonogo-{secrets.token_hex(16)}"
        self._parts: list[tuple[bytes, str | bytes, int]] = []  # header, path or bytes, size
        self._headers: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self._end = f"--{self._boundary}--\r\n".encode()
        self.length = len(self._end)
        self.parts = 0

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    def add(self, field: str, filename: str, source: str | bytes, size: int, kind: str) -> None:
        """One file part: `source` is a path, whose first `size` bytes are all of it, or the bytes."""
        made = self._headers.get((field, kind))
        if made is None:
            before = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="'
            made = before.encode(), f'"\r\nContent-Type: {kind}\r\n\r\n'.encode()
            self._headers[field, kind] = made
        if '"' in filename or "\n" in filename or "\r" in filename:
            filename = filename.translate(_ESCAPES)
        header = made[0] + filename.encode("utf-8", "surrogateescape") + made[1]
        self._parts.append((header, source, size))
        self.length += len(header) + size + 2
        self.parts += 1

    def add_field(self, field: str, text: bytes, kind: str = "application/json") -> None:
        """One part without a filename."""
        header = (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        ).encode()
        self._parts.append((header, text, len(text)))
        self.length += len(header) + len(text) + 2

    def add_picture(self, name: str, source: str | bytes, size: int, field: str = "images") -> None:
        """One picture, with the media type that its name says."""
        suffix = name[name.rfind(".") :].lower()
        self.add(field, name, source, size, PICTURE_TYPES.get(suffix, "application/octet-stream"))

    def write(self, wire: Wire, progress: Callable[[int, int], None] | None = None) -> None:
        """Send it all, with `progress(sent, total)` once a block; raises UnusableInput for a changed file."""
        block = bytearray(_BLOCK)
        view = memoryview(block)
        filled = sent = 0

        def flush() -> None:
            nonlocal filled, sent
            if filled:
                wire.send(view[:filled])
                sent += filled
                filled = 0
                if progress is not None:
                    progress(sent, self.length)

        for header, source, size in self._parts:
            whole = size if size < _BIG else 0
            if filled + len(header) + whole + 3 > _BLOCK:
                flush()
            view[filled : filled + len(header)] = header
            filled += len(header)
            if size >= _BIG:
                flush()
                for slice_size in _send_big(wire, source, size):
                    sent += slice_size
                    if progress is not None:
                        progress(sent, self.length)
            elif isinstance(source, bytes):
                view[filled : filled + size] = source
                filled += size
            else:
                _read_whole(source, size, view[filled : filled + size + 1])
                filled += size
            view[filled : filled + 2] = b"\r\n"
            filled += 2
        if filled + len(self._end) > _BLOCK:
            flush()
        view[filled : filled + len(self._end)] = self._end
        filled += len(self._end)
        flush()


def _read_whole(path: str, size: int, room: memoryview) -> None:
    """Read a small file into `room`, which is one byte longer than the file should be, to see it grow."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from error
    try:
        if os.readv(descriptor, [room]) != size:
            raise UnusableInput(f"{path}: changed while it was being sent")
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _send_big(wire: Wire, source: str | bytes, size: int) -> Iterator[int]:
    """Send a big part slice by slice; yields the size of each slice sent."""
    if isinstance(source, bytes):
        view = memoryview(source)
        for start in range(0, size, _BLOCK):
            wire.send(view[start : start + _BLOCK])
            yield min(_BLOCK, size - start)
        return
    try:
        descriptor = os.open(source, os.O_RDONLY)
    except OSError as error:
        raise UnusableInput(f"{source}: {error.strerror}") from error
    try:
        for start in range(0, size, _SLICE):
            if os.fstat(descriptor).st_size != size:
                raise UnusableInput(f"{source}: changed while it was being sent")
            count = min(_SLICE, size - start)
            wire.send_file(descriptor, start, count)
            yield count
    finally:
        os.close(descriptor)


def is_archive(path: str) -> bool:
    """Whether a path is sent as one archive and not as a picture."""
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def find_pictures(folder: str) -> Iterator[tuple[str, str, int]]:
    """(name inside the folder, path, size) of every picture below it by suffix, in a stable order."""
    pending = [""]
    while pending:
        inside = pending.pop()
        try:
            with os.scandir(f"{folder}/{inside}" if inside else folder) as found:
                entries = {entry.name: entry for entry in found if entry.name[0] != "."}
        except OSError as error:
            raise UnusableInput(f"{error.filename}: {error.strerror}") from error
        folders = []
        for last in sorted(entries):
            entry = entries[last]
            name = f"{inside}/{last}" if inside else last
            if last[last.rfind(".") :].lower() in PICTURE_TYPES and entry.is_file():
                yield name, entry.path, entry.stat().st_size
            elif entry.is_dir(follow_symlinks=False):
                folders.append(name)
        pending.extend(reversed(folders))


def add_sources(body: Multipart, sources: Iterable[Source]) -> None:
    """Add files, folders and (name, bytes) as pictures, or one archive as an archive.

    Raises UnusableInput for what does not exist, a folder without pictures, or an archive beside other input.
    """
    archives = 0
    for source in sources:
        if isinstance(source, tuple):
            name, data = source
            body.add_picture(name, data, len(data))
            continue
        path = os.fspath(source)
        try:
            stat = os.stat(path)  # noqa: PTH116 - a Path object a picture would cost more than the call
        except OSError as error:
            raise UnusableInput(f"{path}: {error.strerror}") from error
        if Path(path).is_dir():
            before = body.parts
            for name, picture, size in find_pictures(path):
                body.add_picture(name, picture, size)
            if body.parts == before:
                raise UnusableInput(f"{path}: no pictures in this folder ({', '.join(PICTURE_TYPES)})")
        elif is_archive(path):
            archives += 1
            body.add("archive", os.path.basename(path), path, stat.st_size, "application/octet-stream")  # noqa: PTH119
        else:
            body.add_picture(os.path.basename(path), path, stat.st_size)  # noqa: PTH119
    if archives and body.parts > 1:
        raise UnusableInput("an archive is a batch of its own: submit it by itself")
    if not body.parts:
        raise UnusableInput("nothing to submit")
