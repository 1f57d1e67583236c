"""Archives as other programs write them, whole and broken, and a sink that shows what was read of them."""

import io
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

from shared.errors import ItemErrorCode
from shared.settings import Settings
from web.http.problems import HttpProblem
from web.upload import archives
from web.upload.memory import Memory, Share


@dataclass
class Taken:
    """The content of an archive: items as (name, bytes, error code), and skipped files as (name, reason)."""

    settings: Settings = field(default_factory=Settings)
    items: list[tuple[str, bytes, str | None]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    renewed: int = 0
    memory: Share = field(default_factory=lambda: Share(Memory(), "default"))

    def begin(self, filename: str) -> None:
        self.items.append((filename, b"", None))

    def write(self, data: bytes) -> None:
        name, before, error = self.items[-1]
        self.items[-1] = (name, before + data, error)

    def refuse(self, code: ItemErrorCode, detail: str) -> None:
        assert detail
        self.items[-1] = (self.items[-1][0], b"", code)

    def end(self) -> None: ...

    def renew(self) -> None:
        self.renewed += 1

    def skip(self, filename: str, reason: str) -> None:
        self.skipped.append((filename, reason))


def read(data: bytes, settings: Settings | None = None, max_bytes: int = 2**33) -> Taken | HttpProblem:
    """The items that the service takes from an archive, or the problem that it answers."""
    taken = Taken(settings or Settings())
    try:
        archives.read(io.BytesIO(data), "archive", taken, max_bytes)
    except HttpProblem as problem:
        return problem
    return taken


def zipped(files: dict[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zip_headers(data: bytes) -> list[tuple[int, bool]]:
    """(offset, whether it is of the directory) of every header of a small zip."""
    found = []
    for signature, central in ((b"PK\x03\x04", False), (b"PK\x01\x02", True)):
        at = data.find(signature)
        while at >= 0:
            found.append((at, central))
            at = data.find(signature, at + 4)
    return found


def with_method(data: bytes, method: int) -> bytes:
    """The zip, claiming another compression method for every member."""
    changed = bytearray(data)
    for at, central in zip_headers(data):
        struct.pack_into("<H", changed, at + (10 if central else 8), method)
    return bytes(changed)


def with_flag(data: bytes, flag: int) -> bytes:
    """The zip with a flag set on every member; 1 claims encryption."""
    changed = bytearray(data)
    for at, central in zip_headers(data):
        changed[at + (8 if central else 6)] |= flag
    return bytes(changed)


def with_raw_name(data: bytes, old: bytes, new: bytes) -> bytes:
    """The zip with other bytes of the same length in a name, as tools without UTF-8 write them."""
    assert len(old) == len(new)
    return data.replace(old, new)


def zip_with_unicode_path(raw: bytes, name: str, content: bytes) -> bytes:
    """A zip whose member has a name in an old encoding and its UTF-8 form in the 0x7075 field."""
    text = name.encode()
    extra = struct.pack("<HHBI", 0x7075, 5 + len(text), 1, zlib.crc32(raw)) + text
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("x" * len(raw))
        info.extra = extra
        archive.writestr(info, content)
    return with_raw_name(buffer.getvalue(), b"x" * len(raw), raw)
