"""The bytes of an item are fetched into a pack of their own, and the item gets a chunk; or the item fails.

Each try claims the fetch by compare-and-set, reads and writes outside any transaction, makes the pack durable, and then
commits the row that names it. The times are the database's.
"""

import hashlib
import logging
import secrets
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import Literal

from celery import Celery

from shared import failpoints
from shared.access import quotas
from shared.access.quotas import Bounds
from shared.blobs import buckets, disk
from shared.blobs.store import BlobStore
from shared.broker.connection import Broker
from shared.broker.messages import ChunkMessages
from shared.errors import Unavailable
from shared.lifecycle import closing as closings
from shared.lifecycle import counters, endings, fetches
from shared.lifecycle.fetches import Claimed
from shared.lifecycle.verdicts import Recorded
from shared.settings import Settings
from shared.store.engine import Database, database_time, retrying
from worker.fetching import objects, urls
from worker.fetching.failed import FetchFailed
from worker.telling import teller

# Seconds before the second try and the later ones. The jitter spreads the fetches that failed at the same moment.
WAITS_S = (1.0, 5.0, 30.0, 120.0)
JITTER = 0.2
# A claim outlasts the fetch by this many seconds, in which the pack is synced and the rows are committed.
RECORD_MARGIN_S = 5.0
Outcome = Literal["stored", "failed", "later", "lost", "not_due"]
_random = SystemRandom()
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The parts of an installation that a fetch works with."""

    settings: Settings
    database: Database
    blobs: BlobStore
    chunks: ChunkMessages
    tell: endings.Tell

    @classmethod
    def open(cls, settings: Settings, celery: Celery, database: Database, broker: Broker) -> "Place":
        chunks, tell = ChunkMessages(broker), teller(celery, broker, settings)
        return cls(settings, database, BlobStore(settings.blobs), chunks, tell)


def fetch(place: Place, item: str) -> Outcome:
    """Try the fetch of an item that is due; `not_due` where none is claimed.

    Safe to repeat: a claim moves the due time, so a second call claims nothing.
    """
    settings, token = place.settings, secrets.token_hex(16)
    with place.database.write() as connection:
        now = database_time(connection)
        held = fetches.claim(connection, item, now, settings.fetch_timeout_s + RECORD_MARGIN_S, token)
    if held is None:
        return "not_due"
    if held.stale_pack is not None:
        _remove(place, held, held.stale_pack)
    failpoints.hit("fetch.claimed", item)
    outcome = _try(place, held)
    log.info("%s try %d: %s", item, held.tries, outcome)
    return outcome


def _try(place: Place, held: Claimed) -> Outcome:
    try:
        if held.tries > place.settings.fetch_tries:
            raise FetchFailed("no try is left: the process of the last try died before it could record")
        bounds = _bounds(place, held)
        sha256, length = _write(place, held)
    except FetchFailed as trouble:
        if trouble.may_mend and held.tries < place.settings.fetch_tries:
            wait = WAITS_S[min(held.tries, len(WAITS_S)) - 1] * _random.uniform(1 - JITTER, 1 + JITTER)
            return _later(place, held, max(wait, trouble.wait_s))
        return _give_up(place, held, trouble)
    except FileNotFoundError:  # the next holder has removed the half written pack, or the batch was deleted
        return _lost(place, held)
    except Unavailable as full:  # the disk: the image is not at fault
        log.warning("item %d of %s waits: %s", held.seq, held.batch_id, full.detail)
        return _later(place, held, full.retry_after_s, counted=False)
    failpoints.hit("fetch.written")
    return _store(place, held, sha256, length, bounds)


def _bounds(place: Place, held: Claimed) -> Bounds:
    """The quotas of the tenant; raises FetchFailed if it stores as much as it may, before a byte is fetched."""
    with place.database.read() as connection:
        row = quotas.find(connection, held.tenant)
    bounds = quotas.bounds(row, place.settings)
    if 0 < bounds.stored_bytes <= row.used_bytes:
        raise FetchFailed(_over(bounds))
    return bounds


def _over(bounds: Bounds) -> str:
    return f"the tenant stores as much as it may: the quota `stored_bytes` is {bounds.stored_bytes}"


def _write(place: Place, held: Claimed) -> tuple[str, int]:
    """Write the bytes into the pack of the claim and make it durable; returns their sha256 and number."""
    disk.need_room(place.blobs.free_bytes(), place.settings.min_free_bytes)
    digest = hashlib.sha256()
    writer = place.blobs.write_pack(held.batch_id, held.pack)
    try:
        with closing(_blocks(place, held)) as blocks:
            for block in blocks:
                digest.update(block)
                writer.write(block)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    return digest.hexdigest(), writer.size


def _blocks(place: Place, held: Claimed) -> Generator[bytes, None, None]:
    if held.source.startswith(buckets.SCHEME):
        return objects.blocks(held.source, held.tenant, place.settings)
    return urls.blocks(held.source, place.settings)


def _store(place: Place, held: Claimed, sha256: str, length: int, bounds: Bounds) -> Outcome:
    def commit() -> bool | None:
        with place.database.write() as connection:
            return fetches.store(connection, held, sha256, length, bounds)

    try:
        is_queued = retrying(commit)
    except fetches.OverQuota:
        _remove(place, held, held.pack)
        return _give_up(place, held, FetchFailed(_over(bounds)))
    if is_queued is None:
        return _lost(place, held)
    if is_queued:
        place.chunks.send(held.lane)
    return "stored"


def _later(place: Place, held: Claimed, wait_s: float, *, counted: bool = True) -> Outcome:
    def commit() -> bool:
        with place.database.write() as connection:
            return fetches.put_off(connection, held, database_time(connection) + wait_s, counted=counted)

    return "later" if retrying(commit) else _lost(place, held)


def _give_up(place: Place, held: Claimed, trouble: FetchFailed) -> Outcome:
    def commit() -> Recorded | None:
        with place.database.write() as connection:
            return fetches.give_up(connection, held, trouble.item_code, trouble.detail)

    recorded = retrying(commit)
    if recorded is None:
        return _lost(place, held)
    for delivery_id in recorded.deliveries:
        place.tell.delivery_owed(delivery_id)
    if recorded.abort:
        retrying(partial(_abort, place, held.batch_id))
    if recorded.abort or recorded.open == 0:
        retrying(partial(endings.end, place.database, place.tell, [held.batch_id]))
    else:
        place.tell.batch_changed(held.batch_id)
    return "failed"


def _abort(place: Place, batch_id: str) -> None:
    with place.database.write() as connection:
        closings.abort(connection, batch_id)


def _lost(place: Place, held: Claimed) -> Outcome:
    """Another process has the fetch by now, or the batch wants no more: remove what this one has written."""
    _remove(place, held, held.pack)
    with place.database.write() as connection:
        counters.count(connection, "fenced")
    return "lost"


def _remove(place: Place, held: Claimed, pack: int) -> None:
    path = place.blobs.pack_path(held.batch_id, pack)
    path.unlink(missing_ok=True)
    path.with_suffix(".tmp").unlink(missing_ok=True)
