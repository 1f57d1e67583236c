"""Reads a multipart body as it arrives: images go straight into packs, an archive goes through a spool file."""

import tempfile
from collections.abc import Iterator
from typing import IO

from shared import json_text
from shared.contract.manifests import MAX_MANIFEST_BYTES
from shared.contract.problems import ErrorEntry
from web.http.problems import HttpProblem
from web.upload import archives, names
from web.upload.asked import take_options
from web.upload.body import Body, blocks
from web.upload.intake import Intake
from web.upload.manifest import IN_MEMORY_BYTES, Manifest
from web.upload.multipart import MultipartScanner

_MAX_FIELD = 2**20
_CHECK_DISK_EVERY = 2**26
_IMAGE_PARTS = {"images", "images[]", "image", "file", "files"}
_FILE_PARTS = {*_IMAGE_PARTS, "archive", "manifest"}


def receive(body: Body, intake: Intake, max_bytes: int) -> None:
    """Feed the images of a body to an intake; raises HttpProblem for a body that can't be used."""
    check_header(body, max_bytes)
    intake.expect(body.length)
    parts = _Parts(intake, max_bytes)
    encoding = intake.settings.filename_encoding
    scanner = MultipartScanner(body.boundary or "", parts.begin, parts.data, parts.end, encoding)
    try:
        for block in _bounded(body, max_bytes):
            scanner.feed(block)
            intake.renew()
        if not scanner.ended:
            raise HttpProblem(400, "incomplete_body", "the body ended before its last part")
        parts.read_archive()
    finally:
        parts.close()


def check_header(
    body: Body, max_bytes: int, *, takes: str = "multipart/form-data with `images` parts or one `archive`"
) -> None:
    """Raise 413 or 415 for a body that can't be used, by its header alone. Asked before any refusal that a retry
    could overcome, such as a full disk."""
    if (body.length or 0) > max_bytes:
        raise HttpProblem(413, "request_too_large", f"a request may have {max_bytes} bytes")
    if body.media_type != "multipart/form-data" or not body.boundary:
        raise HttpProblem(415, "unsupported_media_type", f"send {takes}")


def _bounded(body: Body, max_bytes: int) -> Iterator[bytes]:
    total = 0
    for block in blocks(body.stream):
        total += len(block)
        if total > max_bytes:
            raise HttpProblem(413, "request_too_large", f"a request may have {max_bytes} bytes")
        yield block


class _Parts:
    """Sends each part where it belongs: images to the intake, `options` to memory, an archive to the spool.

    A file part without a name and without a byte goes nowhere: browsers send one where nothing was chosen.
    """

    def __init__(self, intake: Intake, max_bytes: int) -> None:
        self._intake, self._max_bytes = intake, max_bytes
        self._is_image = False
        self._name = ""
        self._unnamed = ""  # the part that has begun, if it has no file name and no byte yet
        self._unchosen = 0
        self._field = bytearray()
        self._manifest: IO[bytes] | None = None
        self._archive: IO[bytes] | None = None
        self._archive_name = ""
        self._unchecked = 0

    def begin(self, name: str, filename: str) -> None:
        if not filename and name in _FILE_PARTS:
            self._unnamed = name
        else:
            self._begin(name, filename)

    def _begin(self, name: str, filename: str) -> None:
        self._is_image = name in _IMAGE_PARTS
        if self._is_image:
            self._intake.begin(names.checked(filename))
            return
        self._name, self._field = name, bytearray()
        spool = self._intake.service.blobs.spool_folder
        if name == "archive":
            if self._archive is not None:
                raise _part_refused("archive", "too_many_archives", "a request holds at most one `archive`")
            self._archive_name = names.checked(filename)
            self._archive = tempfile.TemporaryFile(dir=spool())  # noqa: SIM115 - closed by close()
        elif name == "options":
            # Chunks may have started under the first options: a second part could not change them any more.
            if self._intake.options is not None:
                raise _part_refused(
                    "options",
                    "invalid_options",
                    "a batch takes one `options` part, a prediction none: see its query",
                )
        elif name == "manifest" and self._intake.batch.origin != "predict":
            if self._intake.manifest is not None:
                raise _part_refused("manifest", "invalid_manifest", "a request holds at most one `manifest`")
            self._manifest = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(spool()))  # noqa: SIM115
        else:
            raise _part_refused(name, "unknown_part", f"unknown part {name!r}")

    def data(self, data: memoryview) -> None:
        if self._unnamed:
            self._begin(self._unnamed, "")
            self._unnamed = ""
        if self._is_image:
            self._intake.write(data)
        elif self._name == "archive" and self._archive is not None:
            self._archive.write(data)
            self._unchecked += len(data)
            if self._unchecked > _CHECK_DISK_EVERY:  # a chunked body does not say its length at the door
                self._unchecked = 0
                self._intake.service.capacity.check_disk()
        elif self._manifest is not None:
            self._manifest.write(data)
            if self._manifest.tell() > MAX_MANIFEST_BYTES:
                raise self._too_large(MAX_MANIFEST_BYTES)
        else:
            self._field += data
            if len(self._field) > _MAX_FIELD:
                raise self._too_large(_MAX_FIELD)

    def _too_large(self, most: int) -> HttpProblem:
        return HttpProblem(413, "request_too_large", f"`{self._name}` may have {most} bytes")

    def end(self) -> None:
        if self._unnamed:
            self._unnamed = ""
            self._skip()
            return
        if self._is_image:
            self._intake.end()
        elif self._name == "options":
            take_options(self._intake, bytes(self._field))
        elif self._manifest is not None:
            most, spool = self._intake.settings.max_batch_items, self._intake.service.blobs.spool_folder()
            self._intake.set_manifest(Manifest(self._manifest, most, spool))
            self._manifest.close()
            self._manifest = None
        self._field = bytearray()

    def _skip(self) -> None:
        self._unchosen += 1
        most = self._intake.settings.max_batch_items
        if self._unchosen > most:  # each costs the time that its header takes
            raise HttpProblem(413, "too_many_items", f"a request may have {most} parts without a file")

    def read_archive(self) -> None:
        """Feed the images of the archive, if one came."""
        if self._archive is not None:
            archives.read(self._archive, self._archive_name, self._intake, self._max_bytes)

    def close(self) -> None:
        for spooled in (self._archive, self._manifest):
            if spooled is not None:
                spooled.close()


def _part_refused(part: str, code: str, detail: str) -> HttpProblem:
    entry = ErrorEntry(code=code, pointer=f"/{json_text.escaped(part)}", detail=detail)
    return HttpProblem(400, code, detail, errors=[entry])
