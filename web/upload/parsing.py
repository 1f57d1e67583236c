"""The edge around third-party parsers: whatever one raises becomes a sentence about the archive or its member."""

import lzma
import struct
import zipfile
import zlib

from shared.blobs import disk
from shared.errors import GonogoError


class Unreadable(Exception):
    """The archive, or one member of it, cannot be read; the text says why and names no Python type."""


_SENTENCES: list[tuple[type[Exception], str]] = [
    (NotImplementedError, "its compression method is not supported"),
    (zlib.error, "its compressed data are damaged"),
    (lzma.LZMAError, "its compressed data are damaged"),
    (EOFError, "it ends early"),
    (UnicodeError, "a name in it is not in the encoding that it declares"),
    (struct.error, "a header is damaged"),
    (zipfile.BadZipFile, "it is damaged"),
]


class edge:
    """`with edge():` around calls of a parser. MemoryError, our own errors and a full disk pass unchanged."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, MemoryError | GonogoError | Unreadable):
            return
        if not disk.is_full(error):
            raise Unreadable(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    if isinstance(error, RuntimeError) and "password" in str(error):
        return "it is encrypted"
    if "CRC" in str(error):
        return "its checksum does not match its bytes"
    return next((text for kind, text in _SENTENCES if isinstance(error, kind)), "it is damaged")
