"""Every byte of a zip is accounted for: a member that its directory does not list would vanish without a word.

zipfile reads the last directory of a file and ignores everything else, so joined zips lose all but the last one.
"""

import struct
import zipfile
from typing import IO, NamedTuple

from web.http.problems import HttpProblem
from web.upload.memory import Share
from web.upload.parsing import Unreadable

# zipfile keeps the directory and an object for each entry in memory.
MAX_MEMBERS, MAX_DIRECTORY_BYTES = 100_000, 2**24
_ENTRY_MEMORY = 600  # bytes of an object with a short name
MAX_EXTRA_BYTES = 2**13  # of an entry: times, owners, and a name in UTF-8 need less than 5 kB
_END, _END_BYTES, _MAX_COMMENT = b"PK\x05\x06", 22, 2**16
# The zip64 record and the locator behind it.
_END64, _END64_BYTES, _LOCATOR, _LOCATOR_BYTES = b"PK\x06\x06", 56, b"PK\x06\x07", 20
_ENTRY, _ENTRY_BYTES, _LOCAL, _LOCAL_BYTES = b"PK\x01\x02", 46, b"PK\x03\x04", 30
_DESCRIPTOR_FLAG, _ENCRYPTED_FLAG = 0x8, 0x1
# Between two members may lie a data descriptor, which has 12 to 24 bytes, and zeros that align the next member. The
# header alone of a hidden member has 30 bytes.
_MAX_DESCRIPTOR, _MAX_GAP = 24, 2**16


class Directory(NamedTuple):
    """The directory as the end record describes it, in bytes and entries. `counts` are all the counts it gives."""

    start: int
    size: int
    end: int
    counts: tuple[int, ...]
    is_zip64: bool


def directory(file: IO[bytes], memory: Share) -> Directory:
    """The directory's place, as zipfile will find it. Bounds the directory before zipfile reads it whole.

    Raises Unreadable if there is none or if anything follows it, 413 if it is too large, and
    503 where others hold too much memory.
    """
    length = file.seek(0, 2)
    tail_start = max(0, length - _END_BYTES - _MAX_COMMENT)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise Unreadable("its directory is missing; was it cut?")
    here, total, size, start, comment = struct.unpack_from("<2H2LH", tail, at + 8)
    found = Directory(start, size, tail_start + at, (here, total), False)
    if at >= _LOCATOR_BYTES and tail.startswith(_LOCATOR, at - _LOCATOR_BYTES):
        found = _zip64(file, found)
    if found.size > MAX_DIRECTORY_BYTES:
        raise _too_many()
    memory.hold(2 * found.size)  # here and in zipfile
    file.seek(max(0, found.end - found.size))
    memory.hold(_ENTRY_MEMORY * _check_entries(file.read(found.size)))
    if tail[at + _END_BYTES + comment :].strip(b"\0") or _LOCAL in tail[at:]:
        raise Unreadable("more bytes follow its end; send each archive by itself")
    file.seek(0)
    return found


def _check_entries(directory: bytes) -> int:
    """The number of entries. A directory that is costly to read is refused: zipfile copies the extra fields of an
    entry once for each field."""
    if (count := directory.count(_ENTRY)) > MAX_MEMBERS:
        raise _too_many()
    at = 0
    while directory.startswith(_ENTRY, at) and len(directory) - at >= _ENTRY_BYTES:
        name, extra, comment = struct.unpack_from("<3H", directory, at + 28)
        if extra > MAX_EXTRA_BYTES:
            raise Unreadable(
                f"a member has {extra} bytes of extra fields; at most {MAX_EXTRA_BYTES} are read"
            )
        at += _ENTRY_BYTES + int(name) + int(extra) + int(comment)
    return count


def _zip64(file: IO[bytes], plain: Directory) -> Directory:
    """The values of the zip64 record, which count whatever the plain record says."""
    end = plain.end - _LOCATOR_BYTES - _END64_BYTES
    file.seek(max(0, end))
    record = file.read(_END64_BYTES)
    if end < 0 or not record.startswith(_END64):
        raise Unreadable("its zip64 directory is damaged")
    here, total, size, start = struct.unpack_from("<4Q", record, 24)
    counts = (here, total, *(count for count in plain.counts if count != 0xFFFF))
    return Directory(start, size, end, counts, True)


def check(file: IO[bytes], found: Directory, entries: list[zipfile.ZipInfo]) -> None:
    """Raise Unreadable unless the entries account for every byte before the directory, each byte once."""
    count = len(entries)
    # Tools without zip64 write the count modulo 65,536.
    if any(given != count and (found.is_zip64 or given != count & 0xFFFF) for given in found.counts):
        given = max(found.counts, key=lambda given: abs(given - count))
        raise Unreadable(f"its end record counts {given} members, its directory lists {count}")
    if found.start + found.size != found.end:
        raise Unreadable("its directory is not where its end record says; were several archives joined?")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        _check_gap(file, end, entry.header_offset)
        end = _end_of(file, entry)
    _check_gap(file, end, found.start)
    file.seek(0)


def _end_of(file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_BYTES)
    if len(header) < _LOCAL_BYTES or not header.startswith(_LOCAL):
        raise Unreadable("its directory lists a member where there is none")
    flags, size, name, extra = *struct.unpack_from("<H", header, 6), *struct.unpack_from("<L4x2H", header, 18)
    # A size that is too large would swallow the members behind.
    disagrees = not flags & _DESCRIPTOR_FLAG and size not in (entry.compress_size, 0xFFFFFFFF)
    is_stored = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & _ENCRYPTED_FLAG
    if disagrees or (is_stored and entry.compress_size != entry.file_size):
        raise Unreadable("its directory gives a member another size than the member itself")
    return entry.header_offset + _LOCAL_BYTES + int(name) + int(extra) + entry.compress_size


def _check_gap(file: IO[bytes], end: int, following: int) -> None:
    gap = following - end
    if gap < 0:
        raise Unreadable("its members overlap")
    if gap == 0:
        return
    if gap <= _MAX_GAP:
        file.seek(end)
        if len(file.read(gap).strip(b"\0")) <= _MAX_DESCRIPTOR:
            return
    raise Unreadable(
        f"it holds {gap} bytes that its directory does not list; were several archives joined, or a member left out?"
    )


def _too_many() -> HttpProblem:
    return HttpProblem(
        413,
        "too_many_items",
        f"a zip may have {MAX_MEMBERS} members; send a tar, `images` parts, or several batches",
    )
