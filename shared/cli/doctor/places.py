"""Data dir, disk and open files."""

import os
import resource
import stat
from collections.abc import Iterator

from shared.blobs import disk as disks
from shared.cli.doctor.findings import Finding
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded.stack import valkey_binary
from shared.cli.output import megabytes
from shared.settings import Settings

_LEAST_FILES = 1024


def data_dir(settings: Settings) -> Iterator[Finding]:
    """The data dir belongs to this user, is writable, and is closed to others; so is the admin key in it."""
    folder = settings.data_dir
    if not folder.exists():
        yield Finding("data dir", "skipped", f"{folder} does not exist yet", "`gonogo up` makes it")
        return
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        mend = f"chown -R {os.getuid()} {folder} && chmod u+rwx {folder}"
        yield Finding("data dir", "problem", f"{folder} is not a folder that this user may write", mend)
        return
    if folder.stat().st_mode & 0o077:
        yield Finding("data dir", "problem", f"{folder} is open to others", f"chmod go-rwx {folder}")
    else:
        yield Finding("data dir", "ok", f"{folder}")
    key = folder / "admin-key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        yield Finding("admin key", "problem", f"{key} may be read by others", f"chmod 600 {key}")
    _, socket = data_dirs.with_broker(settings)
    if socket is not None:
        valkey_binary()
        yield Finding("socket", "ok", f"{socket} ({len(os.fsencode(socket))} bytes of 107)")


def disk(settings: Settings) -> Iterator[Finding]:
    """Free space and inodes for blobs: the service refuses submissions below GONOGO_MIN_FREE_BYTES."""
    free, least = disks.free_bytes(settings.blobs), settings.min_free_bytes
    said = f"{megabytes(free)} free for {settings.blobs}, submissions are refused below {megabytes(least)}"
    mend = "free some space, or move the data dir"
    # The same judgement as at the door of an upload, with as much room again as a margin for the operator.
    good = disks.has_room(free, least, coming=least)
    yield Finding("disk", "ok", said) if good else Finding("disk", "problem", said, mend)
    files = disks.free_files(settings.blobs)
    if files and files < 10_000:
        yield Finding("inodes", "problem", f"only {files} files can still be made", mend)


def open_files() -> Iterator[Finding]:
    """The limit on open files, which a web process with many connections reaches first."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"limit {soft}"
    if 0 <= soft < _LEAST_FILES:
        yield Finding("open files", "problem", said, f"ulimit -n {_LEAST_FILES} before the start")
    else:
        yield Finding("open files", "ok", said)
