"""The members of a tar or tar.gz, read as a stream in constant memory.

`tarfile` reads extended headers and sparse maps whole, keeps an object for every member, and takes a damaged header
for the end of the archive. So this module walks the blocks itself and leaves each header block to `tarfile.TarInfo`.
"""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from typing import IO

from web.http.problems import HttpProblem
from web.upload import names
from web.upload.members import UNSAFE, Member
from web.upload.parsing import Unreadable, edge

_BLOCK, _READ = tarfile.BLOCKSIZE, 2**18
_LENGTH_DIGITS = 6
_MOST_RECORDS = 1000  # of one extended header: archivers write a handful
_HEADERS_AN_ITEM = 3  # an image, its extended header and a file next to it
# Headers of folders, links, devices and names. An archiver may put some before each file, and each costs 50 µs.
OTHERS, OTHERS_A_FILE = 10_000, 10
_MAX_SPARSE_BLOCKS = 1000  # of the map of a sparse file
_MAX_HEADER_BYTES = 2**16  # of one extended header: a name of 1,000 characters needs 4 KB
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_ZEROS = bytes(_BLOCK)
_DATALESS = (
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
    tarfile.DIRTYPE,
)


def members(
    file: IO[bytes], encoding: str, count: Callable[[int], None], most_items: int
) -> Iterator[Member]:
    """Every member that is no folder. `count` is told of all unpacked bytes, and raises if there are too many.

    Raises Unreadable where the archive is damaged, ends before both blocks of its end marker, or goes on after it; 413
    for far more headers than `most_items` need, or than its files need: a megabyte of gzip holds two million of them.
    """
    headers = files = 0
    file.seek(0)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = _Stream(gzip.GzipFile(fileobj=file) if is_gzip else file, count)
    extended: dict[bytes, bytes] = {}
    while (block := stream.block()) != _ZEROS:
        headers += 1
        if headers > _HEADERS_AN_ITEM * most_items:
            raise _too_many(f"{_HEADERS_AN_ITEM * most_items} members and headers")
        with edge():
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        files += header.isreg()
        if headers - files > OTHERS + OTHERS_A_FILE * files:
            raise _too_many(
                f"{OTHERS_A_FILE} folders, links and extended headers for each file before them, and {OTHERS} more"
            )
        if header.type in _PAX:
            extended.update(_pax(stream.small(header.size)))
        elif header.type == tarfile.GNUTYPE_LONGNAME:
            extended[b"path"] = stream.small(header.size).rstrip(b"\0")
        elif header.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            stream.small(header.size)  # comments and link targets, which are not used
        else:
            if header.type == tarfile.GNUTYPE_SPARSE:
                stream.skip_sparse_map(block)
            size = extended.get(b"size", b"")
            stream.begin(0 if header.type in _DATALESS else int(size) if size.isdigit() else header.size)
            if not header.isdir():
                yield _member(header, extended, stream, encoding)
            stream.skip()
            extended = {}
    if stream.block() != _ZEROS:
        raise Unreadable("its end marker is not whole; was it cut?")
    stream.expect_zeros()


def _too_many(most: str) -> HttpProblem:
    return HttpProblem(413, "too_many_items", f"a tar may have {most}")


def _member(
    header: tarfile.TarInfo, extended: dict[bytes, bytes], stream: "_Stream", encoding: str
) -> Member:
    raw = extended.get(b"path") or header.name.encode("utf-8", "surrogateescape")
    refusal = None
    if header.issym() or header.islnk():
        refusal = (UNSAFE, "a link")
    elif header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith(b"GNU.sparse") for key in extended):
        refusal = (UNSAFE, "a sparse file; pack without --sparse")
    elif header.type not in tarfile.REGULAR_TYPES:
        refusal = (UNSAFE, "a device, or another special file")
    return Member(names.decoded(raw, encoding), lambda: stream, refusal, alone=False)


def _pax(data: bytes) -> dict[bytes, bytes]:
    """The records `LENGTH KEY=VALUE\\n` of an extended header."""
    records = {}
    # `at`, not a slice of what is left: that would copy it for each record, and a record may have five bytes.
    at = number = 0
    while at < len(data) and data[at]:
        length = data[at : at + _LENGTH_DIGITS].partition(b" ")[0]
        end = at + int(length) if length.isdigit() else at
        record = data[at + len(length) + 1 : end]
        if not len(length) < end - at <= len(data) - at or not record.endswith(b"\n") or b"=" not in record:
            raise Unreadable("an extended header is damaged")
        key, _, value = record[:-1].partition(b"=")
        records[key] = value
        at = end
        number += 1
        if number > _MOST_RECORDS:
            raise Unreadable(f"an extended header has more than {_MOST_RECORDS} records")
    return records


class _Stream:
    """Blocks of the archive, and the bytes of the member that is being read."""

    def __init__(self, raw: IO[bytes] | gzip.GzipFile, count: Callable[[int], None]) -> None:
        self._raw, self._count = raw, count
        self._left = self._padding = 0

    def block(self) -> bytes:
        """The next header block."""
        block = self._up_to(_BLOCK)
        if not block:
            raise Unreadable("it ends without its end marker; was it cut?")
        return self._whole(block, _BLOCK)

    def small(self, size: int) -> bytes:
        """The content of an extended header."""
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise Unreadable(f"an extended header has {size} bytes; at most {_MAX_HEADER_BYTES} are read")
        data = self._whole(self._up_to(size), size)
        self._whole(self._up_to(-size % _BLOCK), -size % _BLOCK)
        return data

    def begin(self, size: int) -> None:
        """The next `size` bytes are those of a member."""
        if size < 0:
            raise Unreadable("a member has a negative size")
        self._left, self._padding = size, -size % _BLOCK

    def read(self, size: int, /) -> bytes:
        wanted = min(size, self._left, _READ)
        data = self._whole(self._up_to(wanted), wanted)
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Go to the end of the member."""
        while self.read(_READ):
            pass
        self._whole(self._up_to(self._padding), self._padding)

    def skip_sparse_map(self, block: bytes) -> None:
        """Go past the blocks that continue the map of an old GNU sparse file, which flags say."""
        goes_on, blocks = block[482], 0
        while goes_on:
            goes_on, blocks = self.block()[504], blocks + 1
            if blocks > _MAX_SPARSE_BLOCKS:
                raise Unreadable(f"the map of a sparse file has more than {_MAX_SPARSE_BLOCKS} blocks")

    def expect_zeros(self) -> None:
        """Read to the end, which also verifies a gzip checksum; nothing may follow the end marker but zeros."""
        while data := self._up_to(_READ):
            if data.count(0) != len(data):
                raise Unreadable("bytes follow its end marker; were two archives joined?")

    def _up_to(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end of the archive."""
        with edge():
            data = self._raw.read(size) if size else b""
            while len(data) < size and (more := self._raw.read(size - len(data))):
                data += more
        self._count(len(data))
        return data

    def _whole(self, data: bytes, size: int) -> bytes:
        if len(data) < size:
            raise Unreadable("it ends early; was it cut?")
        return data
