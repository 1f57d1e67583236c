"""The embedded broker's log after a power cut: set aside when Valkey refuses to read it.

A power cut can leave zeros at the end of the log, or an empty or zeroed manifest; Valkey repairs neither by itself.
The queue is a hint: the sweep announces every queued chunk again, so an empty queue loses nothing.
"""

import os
import re
import time
from pathlib import Path

from shared.cli.embedded import data_dir as data_dirs
from shared.settings import Settings

_TAIL_BYTES = 4096
_START = "Valkey is starting"
# Valkey marks warnings with "#"; a fatal manifest is named on a line of its own.
_NAMED = re.compile(rb"^file (\S+) seq \d+ type ([bhi])", re.MULTILINE)
_REFUSAL = re.compile(r"# .*(?:append only file|AOF)|FATAL AOF")


def set_aside(settings: Settings, log: Path) -> Path | None:
    """Rename the broker's folder if the end of the server's log says that it refused its data.

    Returns the folder's new path, or None if the server ended for another reason.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            said = file.read().decode(errors="replace")
    except OSError:
        return None
    return _rename(settings) if _REFUSAL.search(said.rpartition(_START)[2]) else None


def damage(settings: Settings) -> str | None:
    """The damage of a power cut that the files show while no server runs, or None."""
    folder = settings.data_dir / "valkey" / "appendonlydir"
    try:
        manifest = (folder / "appendonly.aof.manifest").read_bytes()
    except OSError:
        return None  # no log, or one that is not written yet
    named = _NAMED.findall(manifest)
    if not named or b"\0" in manifest:
        return "its manifest is empty or holds zeros"
    for name, kind in named:
        file = folder / os.fsdecode(name)
        if not file.exists():
            return f"its file {file.name} is missing"
        if kind == b"i" and _last_byte(file) == b"\0":  # each command of a log ends with a line
            return f"its file {file.name} ends in zeros"
    return None


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


def _rename(settings: Settings) -> Path:
    folder = settings.data_dir / "valkey"
    aside = folder.with_name(f"valkey-unreadable-{time.strftime('%Y%m%d-%H%M%S')}")
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    return aside
