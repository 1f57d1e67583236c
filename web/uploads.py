"""Reads a submission's body as it arrives: multipart parts straight into packs, archives through a spool file."""

import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any

from flask import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shared import netguard
from shared.blobs import BlobStore
from web.body import blocks
from web.intake import Intake
from web.options import read_options
from web.problems import HttpProblem

_READ = 2**18
_MAX_FIELD = 2**20
_IMAGE_PARTS = {b"images", b"images[]", b"image", b"file", b"files"}
# What browsers and our client send; anything else is left to the library's parser.
_PLAIN_DISPOSITION = re.compile(rb'form-data; name="([^"\\]*)"(?:; filename="([^"\\]*)")?\Z')


def receive(request: Request, intake: Intake, spool: BlobStore, max_bytes: int) -> None:
    """Feed a request's pictures to an intake; raises HttpProblem for a body that can't be used."""
    kind, parameters = parse_options_header(request.headers.get("Content-Type"))
    if (request.content_length or 0) > max_bytes:
        raise HttpProblem(413, "request_too_large", f"a request may have {max_bytes} bytes")
    if kind != b"multipart/form-data" or b"boundary" not in parameters:
        raise HttpProblem(
            415, "unsupported_media_type", "send multipart/form-data with `images` parts or one `archive`"
        )
    intake.expect(request.content_length)
    reader = _PartReader(intake, spool)
    try:
        parser = MultipartParser(parameters[b"boundary"], reader.callbacks())  # type: ignore[arg-type]
        for block in _blocks(request, max_bytes):
            parser.write(block)
            intake.renew()
        parser.finalize()
    except FormParserError as error:
        raise HttpProblem(400, "malformed_multipart", f"the multipart body is broken: {error}") from error
    finally:
        reader.close()
    if not reader.ended:
        raise HttpProblem(400, "incomplete_body", "the body ended before its last part")
    reader.read_archive()


def _blocks(request: Request, max_bytes: int) -> Iterator[bytes]:
    total = 0
    for block in blocks(request):
        total += len(block)
        if total > max_bytes:
            raise HttpProblem(413, "request_too_large", f"a request may have {max_bytes} bytes")
        yield block


class _PartReader:
    """The push parser's callbacks. Pictures go on at once; `options` is small; an archive is spooled."""

    def __init__(self, intake: Intake, spool: BlobStore) -> None:
        self._intake, self._store = intake, spool
        self._name = self._value = b""
        self._disposition = b""
        self._part = b""
        self._field = bytearray()
        self._archive: IO[bytes] | None = None
        self._archive_name = ""
        self.ended = False

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finished,
        }

    def close(self) -> None:
        if self._archive is not None and not self.ended:
            self._archive.close()

    def read_archive(self) -> None:
        """Feed the pictures of the archive, if one came."""
        if self._archive is not None:
            with self._archive as file:
                read_archive(file, self._archive_name, self._intake)

    def _begin(self) -> None:
        self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers(self) -> None:
        name, filename = _disposition(self._disposition)
        self._part, self._field = name, bytearray()
        if name in _IMAGE_PARTS:
            self._intake.begin(filename)
        elif name == b"archive":
            if self._archive is not None:
                raise HttpProblem(400, "too_many_archives", "a request holds at most one `archive`")
            self._archive_name = filename
            self._archive = tempfile.TemporaryFile(dir=self._store.spool_folder())  # noqa: SIM115 - closed by close()
        elif name == b"options":
            # Chunks may have started under the first: a second could no longer be true of the whole batch.
            if self._intake.options is not None:
                raise HttpProblem(400, "invalid_options", "a request holds at most one `options`")
        else:
            raise HttpProblem(
                400,
                "unknown_part",
                f"unknown part {name.decode(errors='replace')!r}",
                errors=[{"code": "unknown_part", "pointer": f"/{name.decode(errors='replace')}"}],
            )

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = memoryview(data)[start:end]
        if self._part in _IMAGE_PARTS:
            self._intake.write(part)
        elif self._part == b"archive" and self._archive is not None:
            self._archive.write(part)
        else:
            self._field += part
            if len(self._field) > _MAX_FIELD:
                raise HttpProblem(413, "request_too_large", "`options` is too large")

    def _end(self) -> None:
        if self._part in _IMAGE_PARTS:
            self._intake.end()
        elif self._part == b"options":
            options = read_options(bytes(self._field))
            if options.webhook is not None:
                # Told now rather than at the first delivery; there the address is judged again, after DNS.
                allowed = self._intake.service.settings.webhook_allowed_networks
                netguard.check_url(options.webhook["url"], allowed)
            self._intake.set_options(options)

    def _finished(self) -> None:
        self.ended = True


def _disposition(header: bytes) -> tuple[bytes, str]:
    """(part name, filename) of a Content-Disposition; raises 400 where it names no part."""
    plain = _PLAIN_DISPOSITION.match(header)
    if plain is not None:
        name, filename = plain.group(1), plain.group(2) or b""
    else:
        kind, parameters = parse_options_header(header)
        name, filename = parameters.get(b"name", b""), parameters.get(b"filename", b"")
        if kind != b"form-data" or not name:
            raise HttpProblem(400, "malformed_multipart", "a part has no name")
    return name, label(filename.decode("utf-8", errors="replace"))


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
