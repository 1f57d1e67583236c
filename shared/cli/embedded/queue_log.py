"""The embedded broker's log after a power cut: set aside when Valkey refuses to read it.

A power cut can leave zeros at the end of the log, or an empty or zeroed manifest; Valkey repairs neither by itself.
The queue is a hint: the sweep announces every queued chunk again, so an empty queue loses nothing.
"""

import re
import time
from pathlib import Path

from shared.settings import Settings

_TAIL_BYTES = 4096
_START = "Valkey is starting"
# Valkey marks warnings with "#"; a fatal manifest is named on a line of its own.
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
    if not _REFUSAL.search(said.rpartition(_START)[2]):
        return None
    folder = settings.data_dir / "valkey"
    aside = folder.with_name(f"valkey-unreadable-{time.strftime('%Y%m%d-%H%M%S')}")
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    return aside
