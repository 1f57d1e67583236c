"""Reads a submission's body as it arrives: multipart parts straight into packs, archives through a spool file."""

import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

from flask import Request

from shared.blobs.store import BlobStore
from shared.webhooks import addresses
from web.http.problems import HttpProblem
from web.upload.body import blocks
from web.upload.intake import Intake
from web.upload.multipart import MultipartScanner
from web.upload.options import read_options

_READ = 2**18
_MAX_FIELD = 2**20
_IMAGE_PARTS = {"images", "images[]", "image", "file", "files"}


def receive(request: Request, intake: Intake, spool: BlobStore, max_bytes: int) -> None:
    """Feed a request's pictures to an intake; raises HttpProblem for a body that can't be used."""
    if (request.content_length or 0) > max_bytes:
        raise HttpProblem(413, "request_too_large", f"a request may have {max_bytes} bytes")
    boundary = request.mimetype_params.get("boundary")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise HttpProblem(
            415, "unsupported_media_type", "send multipart/form-data with `images` parts or one `archive`"
        )
    intake.expect(request.content_length)
    parts = _Parts(intake, spool)
    scanner = MultipartScanner(boundary, parts.begin, parts.data, parts.end)
    try:
        for block in _blocks(request, max_bytes):
            scanner.feed(block)
            intake.renew()
        if not scanner.ended:
            raise HttpProblem(400, "incomplete_body", "the body ended before its last part")
        parts.read_archive()
    finally:
        parts.close()


def _blocks(request: Request, max_bytes: int) -> Iterator[bytes]:
    total = 0
    for block in blocks(request):
        total += len(block)
        if total > max_bytes:
            raise HttpProblem(413, "request_too_large", f"a request may have {max_bytes} bytes")
        yield block


class _Parts:
    """What becomes of each part. Pictures go on at once; `options` is small; an archive is spooled."""

    def __init__(self, intake: Intake, spool: BlobStore) -> None:
        self._intake, self._store = intake, spool
        self._is_image = False
        self._name = ""
        self._field = bytearray()
        self._archive: IO[bytes] | None = None
        self._archive_name = ""

    def begin(self, name: str, filename: str) -> None:
        self._is_image = name in _IMAGE_PARTS
        if self._is_image:
            self._intake.begin(label(filename))
            return
        self._name, self._field = name, bytearray()
        if name == "archive":
            if self._archive is not None:
                raise HttpProblem(400, "too_many_archives", "a request holds at most one `archive`")
            self._archive_name = label(filename)
            self._archive = tempfile.TemporaryFile(dir=self._store.spool_folder())  # noqa: SIM115 - closed by close()
        elif name == "options":
            # Chunks may have started under the first: a second could no longer be true of the whole batch.
            if self._intake.options is not None:
                raise HttpProblem(400, "invalid_options", "a request holds at most one `options`")
        else:
            raise HttpProblem(
                400,
                "unknown_part",
                f"unknown part {name!r}",
                errors=[{"code": "unknown_part", "pointer": f"/{name}"}],
            )

    def data(self, data: memoryview) -> None:
        if self._is_image:
            self._intake.write(data)
        elif self._name == "archive" and self._archive is not None:
            self._archive.write(data)
        else:
            self._field += data
            if len(self._field) > _MAX_FIELD:
                raise HttpProblem(413, "request_too_large", "`options` is too large")

    def end(self) -> None:
        if self._is_image:
            self._intake.end()
        elif self._name == "options":
            options = read_options(bytes(self._field))
            if options.webhook is not None:
                # Told now rather than at the first delivery; there the address is judged again, after DNS.
                allowed = self._intake.service.settings.webhook_allowed_networks
                addresses.check_url(options.webhook["url"], allowed)
            self._intake.set_options(options)

    def read_archive(self) -> None:
        """Feed the pictures of the archive, if one came."""
        if self._archive is not None:
            read_archive(self._archive, self._archive_name, self._intake)

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()


def label(filename: str) -> str:
    """A file's name as a label: no folders that climb, no control characters. It never names a file here."""
    clean = filename
    if not filename.isprintable():
        clean = "".join(character for character in filename if character.isprintable())
    return clean.replace("\\", "/").lstrip("/")[-500:] or "unnamed"


def read_archive(file: IO[bytes], name: str, intake: Intake) -> None:
    """Feed every picture of a zip, tar or tar.gz; nothing is ever extracted to a path of the archive's choice."""
    file.seek(0)
    is_zip = zipfile.is_zipfile(file)
    file.seek(0)
    try:
        if is_zip:
            _read_zip(file, intake)
        else:
            _read_tar(file, intake)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise HttpProblem(
            422,
            "invalid_archive",
            f"{name} is no readable zip, tar or tar.gz: {error}",
            errors=[{"code": "invalid_archive", "pointer": "/archive", "filename": name}],
        ) from error


def _read_zip(file: IO[bytes], intake: Intake) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            intake.begin(label(member.filename))
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
            if is_link or member.flag_bits & 1 or not _is_safe(member.filename):
                intake.refuse("unsafe_archive_member", "a link, an encrypted member, or a name that climbs")
            else:
                with archive.open(member) as source:
                    _copy(source, intake)
            intake.end()


def _read_tar(file: IO[bytes], intake: Intake) -> None:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            if member.isdir():
                continue
            intake.begin(label(member.name))
            source = archive.extractfile(member) if member.isreg() and _is_safe(member.name) else None
            if source is None:
                intake.refuse("unsafe_archive_member", "a link, a device, or a name that climbs")
            else:
                _copy(source, intake)
            intake.end()


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts


def _copy(source: IO[bytes], intake: Intake) -> None:
    """Bytes are counted as they are read: what an archive says of its members' sizes is not believed."""
    copied, most = 0, intake.service.settings.max_item_bytes
    while copied <= most and (block := source.read(_READ)):
        intake.write(block)
        copied += len(block)
