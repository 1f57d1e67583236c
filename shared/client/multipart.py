"""A multipart body whose length is known and whose files are never held in memory.

The client's share of an image's cost is paid here: small files are read straight into one big block, so that a
17 KB image costs three system calls and a fraction of a send.
"""

import os
import secrets
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from shared.client.errors import UnusableInput

_MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
_BLOCK = 1 << 18
_BIG = 128 << 10
_ESCAPES = {ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"}


class File(NamedTuple):
    """A file of a body: its name as it is sent, its path or bytes, its size."""

    name: bytes
    source: str | bytes
    size: int


class Multipart:
    """A `multipart/form-data` body; it can be sent any number of times, with the same bytes."""

    def __init__(self, boundary: str = "") -> None:
        self._boundary = boundary or f"gonogo-{secrets.token_hex(16)}"
        self.entries: list[tuple[bytes, str | bytes, int]] = []  # header, path or bytes, size
        self._headers: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self._end = f"--{self._boundary}--\r\n".encode()
        self.length = len(self._end)
        self.parts = 0
        self._fields = 0
        self.has_archive = False

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    def add(self, field: str, filename: str, source: str | bytes, size: int, kind: str) -> None:
        """A file part: `source` is the bytes, or the path of a file of exactly `size` bytes."""
        made = self._headers.get((field, kind))
        if made is None:
            before = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="'
            made = before.encode(), f'"\r\nContent-Type: {kind}\r\n\r\n'.encode()
            self._headers[field, kind] = made
        if '"' in filename or "\n" in filename or "\r" in filename:
            filename = filename.translate(_ESCAPES)
        header = made[0] + filename.encode("utf-8", "surrogateescape") + made[1]
        self.entries.append((header, source, size))
        self.has_archive = self.has_archive or field == "archive"
        self.length += len(header) + size + 2
        self.parts += 1

    def add_field(self, field: str, text: bytes, kind: str = "application/json") -> None:
        """A part without a filename."""
        header = (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        ).encode()
        self.entries.append((header, text, len(text)))
        self._fields += 1
        self.length += len(header) + len(text) + 2

    def add_image(self, name: str, source: str | bytes, size: int, field: str = "images") -> None:
        """An image, with the media type of its extension; the service goes by the content."""
        suffix = name[name.rfind(".") :].lower()
        self.add(field, name, source, size, _MEDIA_TYPES.get(suffix, "application/octet-stream"))

    def files(self) -> list[File]:
        """The files in their order."""
        return [
            File(header.partition(b'; filename="')[2].rpartition(b'"\r\nContent-Type: ')[0], source, size)
            for header, source, size in self.entries[self._fields :]
        ]

    def split(self, most_bytes: int, most_parts: int, without: Container[int] = ()) -> "list[Multipart]":
        """The files in bodies of at most so many bytes and parts, in their order; a larger file is alone in its body.

        The fields, which were added before the files, are left out, and the files at the places `without`.
        """
        bodies: list[Multipart] = []
        for place, (header, source, size) in enumerate(self.entries[self._fields :]):
            if place in without:
                continue
            length = len(header) + size + 2
            if not bodies or bodies[-1].length + length > most_bytes or bodies[-1].parts == most_parts:
                bodies.append(Multipart(self._boundary))
            bodies[-1].entries.append((header, source, size))
            bodies[-1].length += length
            bodies[-1].parts += 1
        return bodies

    def blocks(self, progress: Callable[[int, int], None] | None = None) -> Iterator[memoryview]:
        """The body block by block, `length` bytes in all. A block is valid until the next one is asked for.

        Calls `progress(sent, total)` after each block; raises UnusableInput for a file that has changed.
        """
        sent = 0
        for block in self._fill(bytearray(_BLOCK)):
            yield block
            sent += len(block)
            if progress is not None:
                progress(sent, self.length)

    def _fill(self, block: bytearray) -> Iterator[memoryview]:
        view = memoryview(block)
        filled = 0
        for header, source, size in self.entries:
            whole = size if size < _BIG else 0
            if filled + len(header) + whole + 3 > _BLOCK:
                yield view[:filled]
                filled = 0
            view[filled : filled + len(header)] = header
            filled += len(header)
            if size >= _BIG:
                yield view[:filled]
                filled = 0
                yield from _big(source, size, view)
            elif isinstance(source, bytes):
                view[filled : filled + size] = source
                filled += size
            else:
                _read_whole(source, size, view[filled : filled + size + 1])
                filled += size
            view[filled : filled + 2] = b"\r\n"
            filled += 2
        if filled + len(self._end) > _BLOCK:
            yield view[:filled]
            filled = 0
        view[filled : filled + len(self._end)] = self._end
        yield view[: filled + len(self._end)]


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


def _big(source: str | bytes, size: int, room: memoryview) -> Iterator[memoryview]:
    """A big part slice by slice, read into `room` if it is a file."""
    if isinstance(source, bytes):
        view = memoryview(source)
        yield from (view[start : start + _BLOCK] for start in range(0, size, _BLOCK))
        return
    try:
        descriptor = os.open(source, os.O_RDONLY)
    except OSError as error:
        raise UnusableInput(f"{source}: {error.strerror}") from error
    try:
        left = size
        while left:
            read = os.readv(descriptor, [room[: min(left, _BLOCK)]])
            if not read:
                break
            left -= read
            yield room[:read]
        if left or os.read(descriptor, 1):
            raise UnusableInput(f"{source}: changed while it was being sent")
    except OSError as error:
        raise UnusableInput(f"{source}: {error.strerror}") from error
    finally:
        os.close(descriptor)
