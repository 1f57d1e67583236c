"""Whether the disk is full: the one judgement, for every writer, every door, the problems table and the doctor."""

import errno
import os
from pathlib import Path

from shared.errors import Unavailable

RETRY_AFTER_S = 60  # an operator has to make room, which takes longer than a queue needs to shrink
_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_SQLITE_FULL = 13
_POSTGRESQL_DISK_FULL = "53100"


def full(detail: str = "the disk is full") -> Unavailable:
    """The error that the web answers with 503 `storage_full`."""
    return Unavailable(detail, code="storage_full", retry_after_s=RETRY_AFTER_S)


def is_full(error: BaseException) -> bool:
    """Whether an error of the operating system, SQLite or PostgreSQL says that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in _ERRNOS
    raised = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's error
    return (
        getattr(raised, "sqlite_errorcode", None) == _SQLITE_FULL
        or getattr(raised, "sqlstate", None) == _POSTGRESQL_DISK_FULL
    )


class errors:
    """Turns an error that says that the disk is full into `full()`; others pass. A class, since every write of a
    pack enters it and a generator would cost more than the write's own Python."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and is_full(error):
            raise full() from error


def free_bytes(folder: Path) -> int:
    """Free room for this user on the folder's disk."""
    status = _status(folder)
    return status.f_bavail * status.f_frsize


def free_files(folder: Path) -> int:
    """Files that this user can still make on the folder's disk; 0 if the file system has no such limit."""
    return _status(folder).f_favail


def _status(folder: Path) -> os.statvfs_result:
    """A folder that does not exist yet is judged by its parent."""
    while not folder.exists():
        folder = folder.parent
    return os.statvfs(folder)


def has_room(free: int, least: int, coming: int = 0) -> bool:
    """Whether `coming` more bytes leave the `least` free bytes that must stay (GONOGO_MIN_FREE_BYTES)."""
    return free - coming >= least


def need_room(free: int, least: int, coming: int = 0) -> None:
    """Raise `full()` unless there is room."""
    if not has_room(free, least, coming):
        raise full("the disk is nearly full")
