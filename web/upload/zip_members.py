"""The members of a zip archive."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from shared.errors import ItemErrorCode
from web.upload import names, zip_layout
from web.upload.members import UNSAFE, Member
from web.upload.memory import Share
from web.upload.parsing import edge

_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_UNICODE_PATH = 0x7075
# zipfile could read bzip2 and LZMA too, but unpacks without a bound: 700 bytes of bzip2 became 933 MB here.
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_METHODS = {
    **{1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstandard"},
    **{95: "xz", 98: "PPMd"},
}


def members(file: IO[bytes], encoding: str, memory: Share) -> Iterator[Member]:
    """Every file of the archive, in the order of its directory. `encoding` is for names that are not UTF-8.

    Raises Unreadable if the directory cannot be read or leaves bytes of the archive out, 413 if it is too large, and
    503 where others hold too much memory.
    """
    found = zip_layout.directory(file, memory)
    with edge():
        archive = zipfile.ZipFile(file)
    with archive:
        zip_layout.check(file, found, archive.infolist())
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
