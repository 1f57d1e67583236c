"""Intake: the rows a submission makes, chunk by chunk while its bytes still arrive.

Order: a pack is durable, then the rows that name it are committed, then the chunk is announced. A submission
shows in the API once it is sealed; one that breaks off is purged by its request, or by the sweep.
"""

import hashlib
import json
import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from shared.blobs.store import PackWriter
from shared.clock import now
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.errors import ItemErrorCode
from shared.ids import new_id
from shared.lifecycle.purging import purge
from shared.registry import versions
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item, Submission
from web.http.problems import HttpProblem
from web.service import Service
from web.upload import capacity, chunk_size
from web.upload.options import Options

log = logging.getLogger(__name__)
_SIZED_EVERY_S = 1.0
_INSERT_BATCH = insert(Batch).values(upload_lease_until=clock() + bindparam("lease_s"))
_INSERT_ITEM = insert(Item)
_INSERT_CHUNK = insert(Chunk)
_GROW = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        total=Batch.total + bindparam("n"),
        queued=Batch.queued + bindparam("n_queued"),
        failed=Batch.failed + bindparam("n_failed"),
        bytes=Batch.bytes + bindparam("n_bytes"),
        upload_lease_until=clock() + bindparam("lease_s"),
    )
)
_RELEASE = (
    update(Chunk)
    .where(Chunk.batch_id == bindparam("in_batch"), Chunk.status == ChunkStatus.HELD)
    .values(status=ChunkStatus.QUEUED, lane=bindparam("to_lane"), enqueued_at=clock())
)
_SEAL = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"), Batch.sealed.is_(False))
    .values(sealed=True, upload_lease_until=None, version=Batch.version + 1)
    .returning(Batch.queued + Batch.processing)
)


@dataclass
class Intake:
    """One submission being received. `begin`, `write`, `end` for each picture in turn, then `seal`."""

    service: Service
    tenant: str
    origin: str = "batch"
    options: Options | None = None
    traceparent: str | None = None
    store: bool = True
    batch_id: str = field(default_factory=lambda: new_id("bat"))
    total: int = 0
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _row: dict[str, Any] = field(default_factory=dict)
    _writer: PackWriter | None = None
    _pack: int = 0
    _hash: Any = None
    _content: Any = field(default_factory=hashlib.sha256)
    _error: tuple[str, str] | None = None
    _inserted: bool = False
    _early: bool = False
    _renewed: float = field(default_factory=time.monotonic)
    _expected: int = 0
    _received: int = 0
    _most_items: int = 0
    _sized: float = -math.inf

    def __post_init__(self) -> None:
        self._most_items = self.service.settings.chunk_items

    def expect(self, length: int | None) -> None:
        """How many bytes the request says it has: chunks shrink towards its end."""
        self._expected = length or 0

    def set_options(self, options: Options) -> None:
        """What the client asks for. Told before the first picture, chunks start while the upload goes on."""
        self.options = options

    def begin(self, filename: str) -> None:
        """Start a picture."""
        if self.total >= self.service.settings.max_batch_items:
            raise HttpProblem(413, "too_many_items", f"a batch holds at most {self.total} items")
        if self._writer is None and self.store:
            capacity.check_disk(self.service)  # a large upload may meet a disk that others fill meanwhile
            self._writer = PackWriter(self.service.blobs, self.batch_id, self._pack)
        self._row = {"filename": filename, "offset": self._writer.size if self._writer else 0}
        self._hash, self._error = hashlib.sha256(), None
        self._row["length"] = 0

    def write(self, data: bytes | memoryview) -> None:
        """More bytes of the picture; what is over the limit is read and dropped, and its item fails."""
        if self._error is not None:
            return
        self._row["length"] += len(data)
        if self._row["length"] > self.service.settings.max_item_bytes:
            self.refuse("too_large", f"a picture may have {self.service.settings.max_item_bytes} bytes")
            return
        self._hash.update(data)
        if self._writer is not None:
            self._writer.write(data)

    def refuse(self, code: ItemErrorCode, detail: str) -> None:
        """Fail this picture's item; its bytes are not kept."""
        self._error = (code, detail)
        if self._writer is not None:
            self._writer.truncate(self._row["offset"])
        self._row["length"] = 0

    def end(self) -> None:
        """Finish the picture; a full chunk is committed and announced."""
        if self._error is None and self._row["length"] == 0:
            self._error = ("corrupt_image", "the file is empty")
        digest = self._hash.hexdigest() if self._row["length"] else None
        self._content.update(f"{len(self._row['filename'])}:{self._row['filename']}:{digest}\n".encode())
        self._row["sha256"] = digest
        self._row["error"] = self._error
        self._row["seq"] = self.total
        self._rows.append(self._row)
        self._received += self._row["length"]
        self.total += 1
        if self._writer is None:
            self._rows.clear()
        elif self._is_full(self._writer.size):
            self._flush()

    def _is_full(self, size: int) -> bool:
        """Whether the chunk in hand, of so many bytes, takes no more. An upload whose length is not known is taken to
        go on as long again."""
        expected = self._expected or 2 * self._received
        left = self.total * (expected - self._received) // max(self._received, 1)
        if len(self._rows) >= chunk_size.items(self._most_items, self._pack, left):
            return True
        return size >= chunk_size.max_bytes(self._pack, self.service.settings)

    def renew(self) -> None:
        """Keep the claim on this upload while bytes come in, however slowly."""
        if time.monotonic() - self._renewed < self.service.settings.upload_lease_s / 4:
            return
        self._renewed = time.monotonic()
        if self._inserted:
            with self.service.database.write() as connection:
                _renew(connection, self.batch_id, self.service.settings.upload_lease_s)

    def fingerprint(self) -> str:
        """What makes two submissions the same: names, bytes and options, whatever the multipart boundary."""
        content = self._content.copy()
        content.update(json.dumps((self.options or Options()).canonical(), sort_keys=True).encode())
        return str(content.hexdigest())

    def seal(self, key: str | None = None) -> None:
        """Commit the last chunk and let the batch be seen; with the idempotency key, its fingerprint too."""
        if self.total == 0:
            raise HttpProblem(400, "no_images", "the request holds no picture")
        # While an item is open, whoever ends the last one finds the batch sealed and completes it. Asking anyway
        # would only stand in the way of the worker that is about to claim.
        if self._flush(seal=True, key=key) == 0:
            self.service.complete(self.batch_id)

    def abandon(self) -> None:
        """Undo everything: the request broke off or was refused."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        if not self._inserted:
            self.service.blobs.delete_batch(self.batch_id)
            return
        try:
            # It stays where it is sealed after all, by a commit whose answer never came.
            purge(self.service.database, self.service.blobs, self.batch_id)
        except OperationalError as error:
            log.warning("the rows of %s are left to the sweep: %s", self.batch_id, error.orig)

    def _flush(self, *, seal: bool = False, key: str | None = None) -> int:
        """Commit what was read as a chunk and announce it. At the seal, how many items are open."""
        if self._writer is not None:
            self._writer.close()
        at, settings = now(), self.service.settings
        good = [row for row in self._rows if row["error"] is None]
        options = self.options or Options()
        # Told before the commit: one of which we do not learn may still have been made.
        first, self._inserted = not self._inserted, True
        if first:
            # A worker claims by the batch's row: chunks wait unless that row was made from the options.
            self._early = self.options is not None
        claimable, lane = self._early or seal, options.priority
        released, still_open = 0, len(good)
        counts = {
            "n": len(self._rows),
            "n_queued": len(good),
            "n_failed": len(self._rows) - len(good),
            "n_bytes": self._writer.size if self._writer else 0,
        }
        with self.service.database.write() as connection:
            if first:
                _insert_batch(connection, self, options, at, counts, sealed=seal)
            elif self._rows:
                lease = {"in_batch": self.batch_id, "lease_s": settings.upload_lease_s}
                connection.execute(_GROW, {**lease, **counts})
            if self._rows:
                connection.execute(_INSERT_ITEM, [_item_row(self, row, at) for row in self._rows])
            if good:
                connection.execute(_INSERT_CHUNK, _chunk_row(self, good, lane, at, held=not claimable))
            if not seal and time.monotonic() - self._sized > _SIZED_EVERY_S:
                self._most_items = chunk_size.by_speed(connection, lane, settings)
                self._sized = time.monotonic()
            if seal and not first:
                released, still_open = _seal(connection, self, options)
            if seal and key is not None:
                _keep_fingerprint(connection, self, key)
        # A message for each chunk that this commit made claimable, none for one that is held back.
        messages = (1 if good and claimable else 0) + released
        for _ in range(messages):
            self.service.announcer.chunk_queued(lane)
        self._rows, self._writer = [], None
        self._pack += 1
        return still_open


def _insert_batch(
    connection: Connection,
    intake: Intake,
    options: Options,
    at: float,
    counts: dict[str, int],
    *,
    sealed: bool,
) -> None:
    """The batch with its first chunk; one that is whole with it is sealed at once."""
    asked = _asked(connection, intake, options, at)
    connection.execute(
        _INSERT_BATCH,
        {
            "id": intake.batch_id,
            "tenant": intake.tenant,
            "status": BatchStatus.QUEUED,
            "origin": intake.origin,
            "sealed": sealed,
            "lease_s": None if sealed else intake.service.settings.upload_lease_s,
            "total": counts["n"],
            "queued": counts["n_queued"],
            "failed": counts["n_failed"],
            "bytes": counts["n_bytes"],
            "created_at": at,
            "metadata": asked.pop("metadata_"),  # a plain insert goes by the columns' names
            **asked,
        },
    )


def _asked(connection: Connection, intake: Intake, options: Options, at: float) -> dict[str, Any]:
    """The columns that the options decide."""
    model = versions.find(connection, options.model)
    point = OperatingPoint(model.threshold, model.review_low, model.review_high).changed(
        options.threshold, options.review_band
    )
    retention = intake.service.settings.retention_s if options.retention is None else options.retention
    return {
        "lane": options.priority,
        "model_id": model.id,
        "threshold": point.threshold,
        "review_low": point.review_low,
        "review_high": point.review_high,
        "metadata_": options.metadata,
        "webhook": options.webhook,
        "on_error": options.on_error,
        "traceparent": intake.traceparent,
        "deadline_at": None if options.deadline is None else at + options.deadline,
        "retention_s": retention,
    }


def _item_row(intake: Intake, row: dict[str, Any], at: float) -> dict[str, Any]:
    error = row["error"]
    return {
        "batch_id": intake.batch_id,
        "seq": row["seq"],
        "filename": row["filename"],
        "sha256": row["sha256"],
        "pack": intake._pack,
        "offset": row["offset"],
        "length": row["length"],
        "status": ItemStatus.QUEUED if error is None else ItemStatus.FAILED,
        "attempts": 0,
        "error_code": None if error is None else error[0],
        "error_detail": None if error is None else error[1],
        "created_at": at,
        "finished_at": None if error is None else at,
    }


def _chunk_row(
    intake: Intake, good: list[dict[str, Any]], lane: str, at: float, *, held: bool
) -> dict[str, Any]:
    return {
        "batch_id": intake.batch_id,
        "first_seq": good[0]["seq"],
        "last_seq": good[-1]["seq"],
        "pack": intake._pack,
        "lane": lane,
        "status": ChunkStatus.HELD if held else ChunkStatus.QUEUED,
        "attempts": 0,
        "enqueued_at": at,
    }


def _seal(connection: Connection, intake: Intake, options: Options) -> tuple[int, int]:
    """Seal the batch and free chunks that waited for the options; returns how many those were, and how many items
    are open."""
    mine, released, seal = {"in_batch": intake.batch_id}, 0, _SEAL
    # A batch whose chunks are under way keeps its model, whichever was activated while it came in.
    if not intake._early:
        released = connection.execute(_RELEASE, {**mine, "to_lane": options.priority}).rowcount
        seal = seal.values(**_asked(connection, intake, options, now()))
    still_open = connection.scalar(seal, mine)
    if still_open is None:
        raise HttpProblem(409, "upload_lost", "this upload was given up meanwhile; send it again")
    return released, still_open


def _keep_fingerprint(connection: Connection, intake: Intake, key: str) -> None:
    """Tell a retry with this idempotency key what the batch was made of."""
    keyed = connection.execute(
        update(Submission)
        .where(
            Submission.tenant == intake.tenant,
            Submission.key == key,
            Submission.batch_id == intake.batch_id,
            Submission.fingerprint.is_(None),
        )
        .values(fingerprint=intake.fingerprint())
    )
    if keyed.rowcount != 1:
        raise HttpProblem(409, "upload_lost", "a retry of this request has taken over its key")


def _renew(connection: Connection, batch_id: str, lease_s: float) -> None:
    connection.execute(update(Batch).where(Batch.id == batch_id).values(upload_lease_until=clock() + lease_s))
    connection.execute(
        update(Submission)
        .where(Submission.batch_id == batch_id, Submission.fingerprint.is_(None))
        .values(lease_until=clock() + lease_s)
    )


def claim_key(
    connection: Connection, intake: Intake, key: str, lease_s: float
) -> tuple[str, str | None] | None:
    """Take an idempotency key for this upload: None where it is ours now, else (batch, fingerprint) of the
    first upload with it; the fingerprint is None while that one runs. A claim whose lease ended is taken over.
    """
    mine = {"batch_id": intake.batch_id, "lease_until": clock() + lease_s}
    try:
        with connection.begin_nested():
            connection.execute(insert(Submission).values(tenant=intake.tenant, key=key, **mine))
        return None
    except IntegrityError:
        pass
    of_key = (Submission.tenant == intake.tenant) & (Submission.key == key)
    taken = connection.execute(
        update(Submission)
        .where(of_key, Submission.fingerprint.is_(None), Submission.lease_until < clock())
        .values(**mine)
    )
    if taken.rowcount == 1:
        return None
    row = connection.execute(select(Submission.batch_id, Submission.fingerprint).where(of_key)).first()
    return None if row is None else (row.batch_id, row.fingerprint)


def drop_claim(connection: Connection, intake: Intake, key: str) -> None:
    """Give a key back after its upload was refused, so that the client may mend the request and retry."""
    connection.execute(
        Submission.__table__.delete().where(  # type: ignore[attr-defined]
            Submission.tenant == intake.tenant,
            Submission.key == key,
            Submission.batch_id == intake.batch_id,
            Submission.fingerprint.is_(None),
        )
    )
