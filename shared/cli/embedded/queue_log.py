"""The embedded broker's folder after a power cut: set aside when Valkey refuses it.

A power cut can leave zeros at the end of the log, an empty or zeroed manifest, or a snapshot that was never written;
Valkey repairs none of them by itself. The queue is a hint: the sweep announces every queued chunk again, so an empty
queue loses nothing.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import disposable
from shared.settings import Settings

# Valkey ends with a status, or breaks down, over data that it cannot read; any other signal came from outside.
_BROKE_DOWN = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE}
# Each line of a manifest names a file.
_NAMED = re.compile(rb"^file (\S+) seq \d+ type ([bhi])", re.MULTILINE)
_SNAPSHOTS = (b"REDIS", b"VALKEY")


class Guard:
    """Sets the broker's folder aside, once in the life of a supervisor, where the server refused it."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings, self._say = settings, say
        self._done = False

    def heal(self, status: int) -> None:
        """Look at the status with which the server ended soon after its start."""
        if self._done or not (status > 0 or status in _BROKE_DOWN):
            return
        self._done = True
        try:
            aside = _rename(self._settings)
        except OSError as error:
            self._say(f"the queue's log cannot be read, nor set aside: {error}")
            return
        self._say(f"the queue's log cannot be read and lies in {aside} now; queued work is announced again")


def damage(settings: Settings) -> str | None:
    """The damage of a power cut that the files show while no server runs, or None."""
    return next(_damages(settings.data_dir / "valkey"), None)


def _damages(valkey: Path) -> Iterator[str]:
    folder = valkey / "appendonlydir"
    for place in (valkey, folder):
        if place.exists() and not place.is_dir():
            yield f"{place.name} is no folder"
    try:
        manifest = (folder / "appendonly.aof.manifest").read_bytes()
    except FileNotFoundError:
        return  # no log, or one that is not written yet
    except OSError as error:
        yield f"its manifest: {error.strerror}"
        return
    named = _NAMED.findall(manifest)
    if not named or b"\0" in manifest:
        yield "its manifest is empty or holds zeros"
    for name, kind in named:
        file = folder / os.fsdecode(name)
        if not file.is_file():
            yield f"its file {file.name} is missing"
        elif kind == b"i" and _last_byte(file) == b"\0":  # each command of a log ends with a line
            yield f"its file {file.name} ends in zeros"
        elif kind == b"b" and file.suffix == ".rdb" and not _beginning(file).startswith(_SNAPSHOTS):
            yield f"its file {file.name} is no snapshot"


def mend(settings: Settings) -> Path:
    """Rename the broker's folder. Raises DataDirInUse while a stack runs in the data dir."""
    held = data_dirs.lock(settings.data_dir)
    try:
        return _rename(settings)
    finally:
        os.close(held)


def _last_byte(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - 1))
        return opened.read()


def _beginning(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(16)


def _rename(settings: Settings) -> Path:
    folder = settings.data_dir / "valkey"
    aside = disposable.set_aside(folder)
    disposable.make_folder(folder)
    return aside
