"""Files half written by a process that died: those to be renamed, and spooled uploads."""

from collections.abc import Sequence
from pathlib import Path

from worker.upkeep.site import Site
from worker.upkeep.steps.orphans import is_store_clock_right

NAME = "temporary"
ABOUT = "files left half written by a process that died: removed"


def find(site: Site, most: int) -> Sequence[Path]:
    """The files not written to for `orphan_s`, nor for as long as an upload may hold its lease."""
    now = site.clock.now()
    if not is_store_clock_right(site, now):
        return []
    old = now - max(site.settings.orphan_s, site.settings.upload_lease_s)
    found = set()
    for path in (*site.blobs.root.rglob("*.tmp"), *site.blobs.spool_folder().iterdir()):
        try:
            if path.is_file() and path.stat().st_mtime < old:
                found.add(path)
        except FileNotFoundError:
            continue
    return sorted(found)[:most]


def mend(site: Site, found: Sequence[Path]) -> None:
    for path in found:
        path.unlink(missing_ok=True)
