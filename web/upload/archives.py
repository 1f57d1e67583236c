"""The images of a zip, tar or tar.gz. No member is ever extracted to a path of the archive's choice."""

import tarfile
import zipfile
from pathlib import PurePosixPath
from typing import IO

from web.http.problems import HttpProblem
from web.upload.intake import Intake
from web.upload.names import label

_READ = 2**18


def read(file: IO[bytes], name: str, intake: Intake) -> None:
    """Feed every image of an archive to the intake; raises 422 if the archive cannot be read."""
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
    """Bytes are counted as they are read, whatever size the archive declares."""
    copied, most = 0, intake.settings.max_item_bytes
    while copied <= most and (block := source.read(_READ)):
        intake.write(block)
        copied += len(block)
