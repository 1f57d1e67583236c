"""The images of a zip, tar or tar.gz become items. No member is extracted to a path of the archive's choice."""

from collections.abc import Callable, Iterator
from typing import IO

from shared.contract import image_files
from shared.errors import ItemErrorCode
from shared.settings import Settings
from web.http.problems import HttpProblem
from web.upload import names, tar_members, zip_members
from web.upload.members import UNSAFE, Member, Sink, Source, climbs
from web.upload.memory import Share
from web.upload.parsing import Unreadable

_READ = 2**18
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def read(file: IO[bytes], name: str, sink: Sink, max_bytes: int) -> None:
    """Feed every image of an archive to the sink, and skip and count its other files.

    Raises HttpProblem: 422 if the archive can't be read to its end, 413 if it unpacks to more than `max_bytes`.
    """
    total, last = 0, ""

    def count(size: int) -> None:
        nonlocal total
        total += size
        if total > max_bytes:
            raise HttpProblem(413, "request_too_large", f"{name} unpacks to more than {max_bytes} bytes")

    try:
        for member in _members(file, sink.settings, sink.memory, count):
            _take(member, sink, count)
            sink.renew()
            last = member.name
    except Unreadable as error:
        place = f" after {names.shown(last)}" if last else ""
        raise HttpProblem(
            422,
            "invalid_archive",
            f"{name} can't be read as a zip, tar or tar.gz{place}: {error}",
            errors=[{"code": "invalid_archive", "pointer": "/archive", "filename": name}],
        ) from error


# Archives that people send and that are not read: their first bytes, and how to pack instead.
_OTHERS = {
    b"Rar!": "RAR",
    b"7z\xbc\xaf": "7-Zip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}


def _members(
    file: IO[bytes], settings: Settings, memory: Share, count: Callable[[int], None]
) -> Iterator[Member]:
    file.seek(0)
    head = file.read(6)
    for start, kind in _OTHERS.items():
        if head.startswith(start):
            raise Unreadable(f"{kind} archives are not read; pack as zip, tar or tar.gz")
    if head[:4] in _ZIP_STARTS:
        return zip_members.members(file, settings.filename_encoding, memory)
    return tar_members.members(file, settings.filename_encoding, count, settings.max_batch_items)


def _take(member: Member, sink: Sink, count: Callable[[int], None]) -> None:
    """Skip a member that neither is nor claims to be an image, fail one that can't be read, and feed the rest."""
    if reason := image_files.skip_by_name(member.name):
        sink.skip(member.name, reason)
        return
    if refusal := _refusal(member):
        if refusal[0] == "unsupported_media" and not image_files.claims_image(member.name):
            sink.skip(member.name, refusal[1])
        else:
            _fail(member.name, sink, *refusal)
        return
    begun = False
    try:
        source = member.open()
        head = _exactly(source, image_files.HEAD_BYTES)
        reason = image_files.skip_by_content(head)
        if reason and not image_files.claims_image(member.name):
            sink.skip(member.name, reason)
            return
        sink.begin(member.name or names.UNNAMED)
        begun = True
        _copy(head, source, sink, count if member.alone else _counted)
        sink.end()
    except Unreadable as error:
        if not member.alone:
            raise
        if begun:
            sink.refuse("corrupt_image", f"this member of the archive can't be unpacked: {error}")
            sink.end()
        else:
            _fail(
                member.name, sink, "corrupt_image", f"this member of the archive can't be unpacked: {error}"
            )


def _refusal(member: Member) -> tuple[ItemErrorCode, str] | None:
    if member.refusal is not None:
        return member.refusal
    if climbs(member.name):
        return UNSAFE, "a name that climbs out of the archive"
    objection = names.objection(member.name)
    return None if objection is None else (UNSAFE, objection)


def _fail(name: str, sink: Sink, code: ItemErrorCode, detail: str) -> None:
    sink.begin(names.shown(name))
    sink.refuse(code, detail)
    sink.end()


def _exactly(source: Source, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := source.read(size - len(data))):
        data += more
    return data


def _copy(head: bytes, source: Source, sink: Sink, count: Callable[[int], None]) -> None:
    """Count the bytes as they are read, whatever size the archive declares. The rest of a too large member is not
    read; a whole one is read to its end, which is where its checksum is verified."""
    block, copied, most = head, 0, sink.settings.max_item_bytes
    while block:
        count(len(block))
        sink.write(block)
        copied += len(block)
        block = source.read(_READ) if copied <= most else b""


def _counted(_size: int) -> None:
    """The stream of a tar counts its own bytes."""
