"""Bytes that no batch owns: the web process died between the pack and its rows."""

import itertools
import logging
import math
import secrets
from collections.abc import Iterator, Sequence

from sqlalchemy import select

from shared.store.installation import identify
from shared.store.tables import Batch
from worker.upkeep.site import Site
from worker.upkeep.steady import NotNow

NAME = "orphans"
ABOUT = "stored bytes that no batch owns: removed"
_AT_ONCE = 500
_CLOCK_DIFFERENCE_S = 60.0
log = logging.getLogger(__name__)


class ForeignStore(NotNow):
    """The database names another installation than the store: every byte there would look like an orphan."""


def find(site: Site, most: int) -> Sequence[str]:
    """Batches that have bytes and no row, and have had them for `orphan_s`."""
    now = site.clock.now()
    if not is_store_clock_right(site, now):
        return []
    if not site.blobs.belongs_to(identify(site.database)):
        raise ForeignStore(
            f"{site.blobs.root} holds the bytes of another database: correct GONOGO_DATABASE_URL or GONOGO_BLOB_URL,"
            f" or remove {site.blobs.root / 'installation'} to give the bytes to this database"
        )
    return list(itertools.islice(_orphans(site, now - site.settings.orphan_s), most))


def mend(site: Site, found: Sequence[str]) -> None:
    for batch_id in found:
        site.blobs.delete_batch(batch_id)
        log.info("removed the bytes of %s, which no row names", batch_id)


def is_store_clock_right(site: Site, now: float) -> bool:
    """Whether the clock that stamps files there is the database's, near enough to judge an age by."""
    probe = site.blobs.spool_folder() / f"clock-{secrets.token_hex(8)}"
    probe.touch()
    try:
        ahead = probe.stat().st_mtime - now
    finally:
        probe.unlink()
    if abs(ahead) > _CLOCK_DIFFERENCE_S:
        log.warning("the clock of the blob store differs by %.0f s: no file is deleted for its age", ahead)
        return False
    return True


def _orphans(site: Site, before: float) -> Iterator[str]:
    stored = site.blobs.batch_ids()
    while some := list(itertools.islice(stored, _AT_ONCE)):
        with site.database.read() as connection:
            owned = set(connection.scalars(select(Batch.id).where(Batch.id.in_(some))))
        for batch_id in some:
            if batch_id not in owned and _newest(site, batch_id) < before:
                yield batch_id


def _newest(site: Site, batch_id: str) -> float:
    """Time of the last write there; infinity if it is being removed."""
    folder = site.blobs.batch_folder(batch_id)
    try:
        return max((path.stat().st_mtime for path in folder.rglob("*")), default=folder.stat().st_mtime)
    except FileNotFoundError:
        return math.inf
