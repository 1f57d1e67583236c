"""The zip file and the JSON of an artifact, read strictly: a fault is an ArtifactError that names the member or key.

An uploaded artifact comes from anybody, and zipfile raises nearly every built-in error on a broken file. No message
holds the file's name, which is a temporary one during an upload, or the words of a Python exception.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shared import json_text
from shared.errors import ArtifactError
from shared.json_text import JsonObject

MAX_MEMBER_BYTES = 512 * 1024 * 1024
MAX_JSON_BYTES = 4 * 1024 * 1024
_BLOCK = 1024 * 1024
_END, _END_BYTES = b"PK\5\6", 22  # of a zip file's directory without a comment


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file at `path`. Raises ArtifactError where the file is missing or no zip file."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArtifactError(f"the artifact cannot be opened: {error.strerror}") from error
    with file:
        try:
            archive = zipfile.ZipFile(file)
        except MemoryError:
            raise
        except Exception as error:
            raise ArtifactError("the artifact is no zip file, or a damaged one") from error
        with archive:
            if not _is_whole(file, archive):
                raise ArtifactError("the artifact has bytes before or behind its zip file")
            yield archive


def _is_whole(file: BinaryIO, archive: zipfile.ZipFile) -> bool:
    """Whether the zip file is all of the file: it begins with a member and ends with a directory without a comment.

    zipfile finds an archive within other bytes, too, and the sha256 of the file would name them as another model.
    """
    file.seek(-_END_BYTES, os.SEEK_END)
    ends = file.read(len(_END)) == _END
    return ends and min((each.header_offset for each in archive.infolist()), default=0) == 0


def blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """The bytes of a member, at most MAX_MEMBER_BYTES. Raises ArtifactError where they cannot be read."""
    total = 0
    try:
        with archive.open(name) as member:
            # The size in the zip's directory may be wrong, so the bytes that come out are counted.
            while block := member.read(_BLOCK):
                total += len(block)
                if total > MAX_MEMBER_BYTES:
                    raise ArtifactError(f"{name} holds more than {MAX_MEMBER_BYTES} bytes")
                yield block
    except (ArtifactError, MemoryError):
        raise
    except KeyError as error:
        raise ArtifactError(f"{name} is missing") from error
    except Exception as error:
        raise ArtifactError(f"{name} is damaged or encrypted") from error


def check_digest(archive: zipfile.ZipFile, name: str, digest: str) -> None:
    """Raise ArtifactError unless a member has this sha256."""
    seen = hashlib.sha256()
    for block in blocks(archive, name):
        seen.update(block)
    _same(name, seen.hexdigest(), digest)


def checked(archive: zipfile.ZipFile, name: str, digest: str) -> bytes:
    """The bytes of a member. Raises ArtifactError unless they have this sha256."""
    data = b"".join(blocks(archive, name))
    _same(name, hashlib.sha256(data).hexdigest(), digest)
    return data


def _same(name: str, seen: str, digest: str) -> None:
    if seen != digest:
        raise ArtifactError(f"{name} is not what the manifest says: its sha256 differs")


def read_json(archive: zipfile.ZipFile, name: str, *, levels: int) -> JsonObject:
    """The JSON object in a member, at most MAX_JSON_BYTES and `levels` deep, without NaN or Infinity.

    Raises ArtifactError.
    """
    data = b""
    for block in blocks(archive, name):
        data += block
        if len(data) > MAX_JSON_BYTES:
            raise ArtifactError(f"{name} holds more than {MAX_JSON_BYTES} bytes")
    try:
        value = json_text.parse(data)
    except json_text.NotJson as error:
        raise ArtifactError(f"{name} is no JSON: {error}") from error
    for pointer, fault in json_text.faults(value, levels=levels):
        raise ArtifactError(f"{name}{' at ' if pointer else ''}{pointer[:100]}: {fault}")
    if not isinstance(value, dict):
        raise ArtifactError(f"{name} holds no object")
    return value


def closed(
    value: object, where: str, required: Collection[str], optional: Collection[str] = ()
) -> JsonObject:
    """`value`, an object with the required members and no unknown one. Raises ArtifactError."""
    if not isinstance(value, dict):
        raise ArtifactError(f"{where} is no object")
    for name in required:
        if name not in value:
            raise ArtifactError(f"{where}: {name} is missing")
    for name in value:
        if name not in required and name not in optional:
            raise ArtifactError(f"{where}: {name[:100]!r} is no member that it may have")
    return value


def number(value: object, where: str, lowest: float, highest: float) -> float:
    """`value`, a number from `lowest` to `highest`. Raises ArtifactError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise ArtifactError(f"{where} must be a number from {lowest:g} to {highest:g}, not {_shown(value)}")
    return value


def whole(value: object, where: str, lowest: int, highest: int) -> int:
    """`value`, a whole number from `lowest` to `highest`. Raises ArtifactError."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ArtifactError(f"{where} must be a whole number from {lowest} to {highest}, not {_shown(value)}")
    return value


def text(value: object, where: str) -> str:
    """`value`, a string. Raises ArtifactError."""
    if not isinstance(value, str):
        raise ArtifactError(f"{where} must be a string, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return json.dumps(value)[:50]
