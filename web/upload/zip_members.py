"""The members of a zip archive."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from shared.errors import ItemErrorCode
from web.http.problems import HttpProblem
from web.upload import names
from web.upload.members import UNSAFE, Member
from web.upload.parsing import Unreadable, edge

# zipfile keeps the directory and an object for each entry in memory: about 600 bytes for a short name.
MAX_MEMBERS, MAX_DIRECTORY_BYTES = 100_000, 2**24
_END, _END_BYTES, _MAX_COMMENT = b"PK\x05\x06", 22, 2**16
_ENTRY = b"PK\x01\x02"
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_UNICODE_PATH = 0x7075
# zipfile could read bzip2 and LZMA too, but unpacks without a bound: 700 bytes of bzip2 became 933 MB here.
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_METHODS = {
    **{1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstandard"},
    **{95: "xz", 98: "PPMd"},
}


def members(file: IO[bytes], encoding: str) -> Iterator[Member]:
    """Every file of the archive, in the order of its directory. `encoding` is for names that are not UTF-8.

    Raises Unreadable if the directory cannot be read, and 413 if it is too large.
    """
    _check_directory(file)
    with edge():
        archive = zipfile.ZipFile(file)
    with archive:
        for info in archive.infolist():
            if not info.filename.endswith("/"):  # is_dir() fails on an empty name
                yield _member(archive, info, encoding)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, encoding: str) -> Member:
    return Member(_name(info, encoding), lambda: _Source(archive, info), _refusal(info), alone=True)


def _refusal(info: zipfile.ZipInfo) -> tuple[ItemErrorCode, str] | None:
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        return UNSAFE, "a symbolic link"
    if info.flag_bits & _ENCRYPTED_FLAG or info.compress_type == 99:
        return UNSAFE, "an encrypted member; send the archive without a password"
    if info.compress_type not in _READABLE:
        method = _METHODS.get(info.compress_type, f"number {info.compress_type}")
        return "unsupported_media", f"compression method {method} is not supported; pack with deflate instead"
    return None


class _Source:
    """zipfile's reader inside the edge. It checks the CRC at the end of the member."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        with edge():
            self._file = archive.open(info)

    def read(self, size: int, /) -> bytes:
        with edge():
            return self._file.read(size)


def _name(info: zipfile.ZipInfo, encoding: str) -> str:
    """The name from its Info-ZIP Unicode field, or as flagged UTF-8, or from its bytes in an older encoding."""
    if info.flag_bits & _UTF8_FLAG:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437")  # zipfile decodes unflagged names so, and every byte survives it
    return _unicode_path(info.extra, raw) or names.decoded(raw, encoding, archive=True)


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The UTF-8 name of the 0x7075 field, which counts if its checksum is that of the plain name."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        data, extra = extra[4 : 4 + size], extra[4 + size :]
        is_name = kind == _UNICODE_PATH and len(data) > 5 and data[0] == 1
        if is_name and int.from_bytes(data[1:5], "little") == zlib.crc32(raw):
            return data[5:].decode(errors="replace")
    return None


def _check_directory(file: IO[bytes]) -> None:
    """Bound the directory before zipfile reads it whole."""
    length = file.seek(0, 2)
    start = max(0, length - _END_BYTES - _MAX_COMMENT)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise Unreadable("its directory is missing; was it cut?")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    end = start + at
    if size == 0xFFFFFFFF:  # zip64: the record that holds the size lies before its 20-byte locator
        record = tail[at - 76 : at - 20] if at >= 76 else b""
        size = int.from_bytes(record[40:48], "little") if record[:4] == b"PK\x06\x06" else 2**63
        end -= 76
    if size > MAX_DIRECTORY_BYTES:
        raise _too_many()
    file.seek(max(0, end - size))
    if file.read(size).count(_ENTRY) > MAX_MEMBERS:
        raise _too_many()
    file.seek(0)


def _too_many() -> HttpProblem:
    return HttpProblem(
        413,
        "too_many_items",
        f"a zip may have {MAX_MEMBERS} members; send a tar, `images` parts, or several batches",
    )
