"""The sweep: heals what died between two steps. Any number may run, since each repair is a compare-and-set."""

import itertools
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import redis
from celery import Celery
from sqlalchemy import delete, exists, func, select
from sqlalchemy.exc import SQLAlchemyError

from shared.blobs.store import BlobStore
from shared.broker import messages, queues
from shared.clock import now
from shared.contract.states import ChunkStatus, DeliveryStatus
from shared.lifecycle import counters, endings, leases
from shared.settings import Settings
from shared.store.engine import Database, clock
from shared.store.tables import Batch, Chunk, Delivery, Worker
from worker.upkeep.recount import recount
from worker.webhooks.deliver import due

_AT_ONCE = 500
_ORPHANS_EVERY_S = 60.0
_RECOUNT_EVERY_S = 60.0
_RECOUNTED_ITEMS = 20_000
PAST_DEADLINE = select(Batch.id).where(
    Batch.finished_at.is_(None), Batch.deadline_at < clock(), Batch.queued > 0, Batch.sealed.is_(True)
)
NOT_COMPLETED = select(Batch.id).where(
    Batch.finished_at.is_(None), Batch.sealed.is_(True), Batch.queued + Batch.processing == 0
)
ABANDONED = select(Batch.id).where(Batch.sealed.is_(False), Batch.upload_lease_until < clock())
_OWES = exists().where(Delivery.batch_id == Batch.id, Delivery.status == DeliveryStatus.PENDING)
OUTLIVED = select(Batch.id).where(Batch.retain_until < clock(), ~_OWES)
log = logging.getLogger(__name__)


class Sweeper:
    """One pass heals at most a bounded number of each kind; the next pass goes on."""

    def __init__(self, settings: Settings, celery: Celery) -> None:
        self.settings = settings
        self.celery = celery
        self.database = Database(settings.database, durable=False, pool_size=2)
        self.blobs = BlobStore(settings.blobs)
        self.broker: redis.Redis = messages.connect(settings)
        self.chunk_messages = messages.ChunkMessages(self.broker)
        self.host = socket.gethostname()
        self._orphans_at = 0.0
        self._recounted_at = (-math.inf, 0.0)

    def run_once(self) -> None:
        """One pass. A step that fails does not keep the others from running."""
        steps: tuple[Callable[[], None], ...] = (
            self.end_leases_of_the_dead,
            self.return_expired_leases,
            self.expire_batches,
            self.complete_batches,
            self.announce_queued,
            self.send_due_deliveries,
            self.purge_abandoned_uploads,
            self.purge_retained,
            self.forget_lost_workers,
            self.remove_orphans,
            self.recount_ended,
        )
        for step in steps:
            try:
                step()
            except (SQLAlchemyError, redis.RedisError, OSError) as error:
                log.warning("%s put off: %s", step.__name__, error)

    def end_leases_of_the_dead(self) -> None:
        """A process of this host that is gone holds nothing: its chunk need not wait for the lease's end."""
        for chunk_id, token in self.held_by_the_dead():
            with self.database.write() as connection:
                leases.end_lease(connection, chunk_id, token)

    def held_by_the_dead(self) -> list[tuple[int, str]]:
        """Chunks, each with its token, that a process of this host holds which is gone."""
        query = select(Chunk.id, Chunk.token, Chunk.pid).where(
            Chunk.status == ChunkStatus.LEASED, Chunk.host == self.host
        )
        with self.database.read() as connection:
            held = connection.execute(query.limit(_AT_ONCE)).all()
        return [(chunk_id, str(token)) for chunk_id, token, pid in held if not _is_alive(pid)]

    def return_expired_leases(self) -> None:
        with self.database.read() as connection:
            expired = leases.expired_leases(connection, _AT_ONCE)
        for chunk_id in expired:
            with self.database.write() as connection:
                closed = leases.return_expired(connection, chunk_id, self.settings.max_attempts)
            if closed is not None:
                self._complete(closed)

    def expire_batches(self) -> None:
        for batch_id in self.ids(PAST_DEADLINE):
            with self.database.write() as connection:
                endings.expire(connection, batch_id)
            self._complete(batch_id)

    def complete_batches(self) -> None:
        """A batch whose last worker died between record and complete."""
        for batch_id in self.ids(NOT_COMPLETED):
            self._complete(batch_id)

    def announce_queued(self) -> None:
        for lane, missing in self.missing_messages().items():
            if self.chunk_messages.send(lane, missing):
                log.info("announced %d chunks of lane %s again", missing, lane)
                with self.database.write() as connection:
                    counters.count(connection, "announced_again", missing)

    def missing_messages(self) -> dict[str, int]:
        """By lane, how many chunks have waited a while without a message in the queue."""
        query = (
            select(Chunk.lane, func.count())
            .where(
                Chunk.status == ChunkStatus.QUEUED, Chunk.enqueued_at < clock() - self.settings.republish_s
            )
            .group_by(Chunk.lane)
        )
        with self.database.read() as connection:
            waiting = connection.execute(query).all()
        missing = {lane: min(chunks - int(self.broker.llen(lane)), _AT_ONCE) for lane, chunks in waiting}
        return {lane: chunks for lane, chunks in missing.items() if chunks > 0}

    def send_due_deliveries(self) -> None:
        owed = due(self.database, _AT_ONCE)
        # As for chunks: what waits in the queue already need not be sent again.
        missing = len(owed) - int(self.broker.llen(queues.WEBHOOKS))
        for delivery_id in owed[: max(0, missing)]:
            messages.send(self.celery, queues.DELIVER, [delivery_id], queues.WEBHOOKS)

    def purge_abandoned_uploads(self) -> None:
        """An upload whose web process died: the client retries, and what had come is removed."""
        for batch_id in self.ids(ABANDONED):
            self._purge(batch_id, "upload_abandoned")

    def purge_retained(self) -> None:
        """Only batches that have ended have such a time. One that owes a webhook stays until that is delivered or
        given up, since what is owed goes with the batch."""
        for batch_id in self.ids(OUTLIVED):
            self._purge(batch_id, "retention_over")

    def forget_lost_workers(self) -> None:
        lost = self.lost_workers()
        if lost:
            with self.database.write() as connection:
                connection.execute(delete(Worker).where(Worker.id.in_(lost)))

    def lost_workers(self) -> list[str]:
        """Those not heard of for a while; and those of this host whose process is gone, so that nobody who asks
        whether a lane is served is told of a dead one."""
        quiet = Worker.last_seen_at < clock() - 3 * self.settings.lease_s
        query = select(Worker.id, Worker.pid, quiet.label("quiet"), (Worker.host == self.host).label("ours"))
        with self.database.read() as connection:
            known = connection.execute(query).all()
        return [row.id for row in known if row.quiet or (row.ours and not _is_alive(row.pid))]

    def remove_orphans(self) -> None:
        """Bytes that no batch owns: their web process died between the pack and its rows."""
        if time.monotonic() - self._orphans_at < min(_ORPHANS_EVERY_S, self.settings.orphan_s):
            return
        self._orphans_at = time.monotonic()
        for batch_id in self.orphans():
            self.blobs.delete_batch(batch_id)
            log.info("removed the bytes of %s, which no row names", batch_id)

    def orphans(self) -> Iterator[str]:
        """Batches that have bytes and no row, and have had them long enough."""
        stored = self.blobs.batch_ids()
        while some := list(itertools.islice(stored, _AT_ONCE)):
            with self.database.read() as connection:
                owned = set(connection.scalars(select(Batch.id).where(Batch.id.in_(some))))
            for batch_id in some:
                if batch_id not in owned and self._newest(batch_id) < now() - self.settings.orphan_s:
                    yield batch_id

    def _newest(self, batch_id: str) -> float:
        """When something was last written there; infinity where it is gone, or going."""
        folder = self.blobs.batch_folder(batch_id)
        try:
            return max((path.stat().st_mtime for path in folder.rglob("*")), default=folder.stat().st_mtime)
        except FileNotFoundError:
            return math.inf

    def recount_ended(self) -> None:
        """The alarm: of the newest batches, those that ended since the last look, held against their items."""
        looked, since = self._recounted_at
        if time.monotonic() - looked < _RECOUNT_EVERY_S:
            return
        self._recounted_at = (time.monotonic(), now() - 10.0)
        newest = select(Batch.id, Batch.finished_at, Batch.total).order_by(Batch.id.desc()).limit(_AT_ONCE)
        with self.database.read() as connection:
            ended = [
                batch_id
                for batch_id, finished_at, total in connection.execute(newest)
                if finished_at is not None and finished_at > since and total <= _RECOUNTED_ITEMS
            ]
        for batch_id in ended:
            with self.database.write() as connection:
                wrong = recount(connection, batch_id)
                if wrong:
                    counters.count(connection, "miscounted")
            if wrong:
                log.error("the counters of %s differ from its items: %s", batch_id, wrong)

    def ids(self, query: object, limit: int = _AT_ONCE) -> list[str]:
        """What a query finds, by default at most what one pass heals."""
        with self.database.read() as connection:
            return list(connection.scalars(query.limit(limit)))  # type: ignore[attr-defined]

    def _complete(self, batch_id: str) -> None:
        with self.database.write() as connection:
            completed = endings.complete(connection, batch_id)
        if completed is not None:
            with self.database.write() as connection:
                counters.count(connection, "completed_by_sweep")
            messages.wake(self.broker, batch_id)

    def _purge(self, batch_id: str, event: str) -> None:
        with self.database.write() as connection:
            gone = endings.purge(connection, batch_id)
        if gone:
            self.blobs.delete_batch(batch_id)
            with self.database.write() as connection:
                counters.count(connection, event)


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def run(settings: Settings, celery: Celery) -> None:
    """Sweep until SIGTERM."""
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    sweeper = Sweeper(settings, celery)
    while not stop.is_set():
        sweeper.run_once()
        stop.wait(settings.sweep_s)
