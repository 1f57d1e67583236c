"""The SQL of an upload: a batch is opened, appended to and sealed; or abandoned.

A submission of one request and a draft of many requests take the same path. The order is always the same: a pack is
durable, then the rows that name it are committed, then its chunk is announced. No caller sees a batch that is not
sealed. An upload is a claim with a lease; the sweep purges it once the lease has ended.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, insert, update
from sqlalchemy.exc import OperationalError

from shared.access import quotas
from shared.access.quotas import Stored
from shared.blobs.store import BlobStore
from shared.contract.events import DefectRateAlert
from shared.contract.states import BatchStatus, ChunkStatus, ItemStatus
from shared.errors import GonogoError
from shared.lifecycle import drafts, events, fetches, idempotency, parts, telling, told_items, turns
from shared.lifecycle.cutting import cut
from shared.lifecycle.drafts import Kept
from shared.lifecycle.purging import purge
from shared.lifecycle.received import NewBatch, Notes, Piece, ReceivedItem, Terms
from shared.lifecycle.tagging import columns
from shared.store.engine import Database, clock
from shared.store.records import BatchRecord
from shared.store.tables import Batch, Chunk, Item

log = logging.getLogger(__name__)


class UploadLost(GonogoError):
    """The upload was given up meanwhile, or a retry of it took over."""

    code = "upload_lost"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch at its seal: held chunks that were released, open items, its row, and what its tenant stores now."""

    released: int
    open: int
    row: BatchRecord | None = field(default=None, compare=False)
    stored: Stored = field(default=Stored(), compare=False)


_NO_NOTES = Notes()
# The statements are built once, since SQLAlchemy takes longer to build one than to run it.
_INSERT_BATCH = (
    insert(Batch)
    .values(upload_lease_until=clock() + bindparam("lease_s"))
    .returning(Batch.__table__)  # so that the answer to a small submission need not ask for it
)
_INSERT_ITEM = insert(Item)
_INSERT_CHUNK = insert(Chunk).values(turns.PLACED)
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
    .values(
        status=ChunkStatus.QUEUED,
        lane=bindparam("in_lane"),
        enqueued_at=clock(),
        place=turns.place_at_release(bindparam("in_lane")),
    )
)
_SEAL = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"), Batch.sealed.is_(False))
    .values(sealed=True, upload_lease_until=None, version=Batch.version + 1)
    .returning(Batch.__table__)  # so that the answer need not ask for it
)
_RENEW = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"), Batch.sealed.is_(False))
    .values(upload_lease_until=clock() + bindparam("lease_s"))
)


def open_batch(
    connection: Connection,
    batch: NewBatch,
    terms: Terms,
    piece: Piece,
    *,
    at: float,
    lease_s: float | None,
    hold: bool,
    notes: Notes = _NO_NOTES,
    has_parts: bool = False,
) -> Sealed | None:
    """Insert a batch with its first piece; returns it if it is sealed.

    `lease_s` None seals it at once: a small submission is one transaction. `hold` keeps the chunk from being claimed
    until the seal, which is when the terms are known for sure.
    """
    added = counts([piece])
    row = connection.execute(
        _INSERT_BATCH,
        {
            "id": batch.id,
            "tenant": batch.tenant,
            "origin": batch.origin,
            "traceparent": batch.traceparent,
            "status": BatchStatus.QUEUED,
            "sealed": lease_s is None,
            "lease_s": lease_s,
            "total": added["n"],
            "queued": added["n_queued"],
            "failed": added["n_failed"],
            "bytes": added["n_bytes"],
            "created_at": at,
            "metadata": terms.metadata,  # an insert names columns; the attribute is `metadata_`
            **_decided(terms, at),
            **notes.columns(),
        },
    ).one()
    add(connection, batch.id, piece, terms.lane, at=at, hold=hold)
    if lease_s is None and has_parts:
        _make_parts(connection, batch.id)
    return _sealed(connection, BatchRecord._make(row), 0) if lease_s is None else None


def append(
    connection: Connection, batch_id: str, piece: Piece, lane: str, *, at: float, lease_s: float, hold: bool
) -> None:
    """Add a piece to an open batch and prolong the lease of its upload."""
    if not piece.items:
        return
    connection.execute(_GROW, {"in_batch": batch_id, "lease_s": lease_s, **counts([piece])})
    add(connection, batch_id, piece, lane, at=at, hold=hold)


def seal(
    connection: Connection,
    batch_id: str,
    terms: Terms | None,
    *,
    at: float,
    most_items: int,
    notes: Notes = _NO_NOTES,
    has_parts: bool = False,
) -> Sealed:
    """Let the batch be seen; raises UploadLost if the upload has been purged.

    `terms` releases the chunks that were held, cut to at most `most_items` items. It is None if the batch was opened
    with its final terms: a batch under way keeps its model, even if another one has been activated since.
    `has_parts`: an item has a part_id.
    """
    released, statement = 0, _SEAL
    if notes.skipped:
        statement = statement.values(notes.columns())
    if terms is not None:
        cut(connection, batch_id, most_items)
        released = connection.execute(_RELEASE, {"in_batch": batch_id, "in_lane": terms.lane}).rowcount
        statement = statement.values(metadata_=terms.metadata, **_decided(terms, at))
    row = connection.execute(statement, {"in_batch": batch_id}).first()
    if row is None:
        raise UploadLost("this upload was given up meanwhile; send it again")
    if has_parts:
        _make_parts(connection, batch_id)
    return _sealed(connection, BatchRecord._make(row), released)


def keep_open(connection: Connection, sealed: Sealed, draft: Kept, draft_s: float) -> None:
    """Make a draft of a batch, in the transaction that sealed it: no other has seen it sealed.

    It counts for the quotas of its tenant once it is finalized.
    """
    row = sealed.row
    assert row is not None  # a seal returns it
    drafts.keep_open(connection, row.id, draft, draft_s)
    quotas.take_off(connection, row.tenant, row.bytes, row.total)


def note_created(connection: Connection, sealed: Sealed, alert: DefectRateAlert | None = None) -> None:
    """Tell of a batch from now on, in the transaction that sealed it or left it open."""
    row = sealed.row
    assert row is not None  # a seal returns it
    events.note_created(connection, row.id, has_begun=row.started_at is not None)
    telling.begin(connection, row, alert)


def _make_parts(connection: Connection, batch_id: str) -> None:
    """Make the parts of a sealed batch, and end those whose images were all refused; the sweep sends what they owe."""
    parts.make(connection, batch_id)
    parts.complete(connection, batch_id)


def renew(connection: Connection, batch_id: str, lease_s: float) -> None:
    """Prolong the lease of an upload, and of the idempotency key that it holds."""
    connection.execute(_RENEW, {"in_batch": batch_id, "lease_s": lease_s})
    idempotency.renew(connection, batch_id, lease_s)


def abandon(database: Database, blobs: BlobStore, batch_id: str) -> None:
    """Delete the rows and bytes of an upload that broke off.

    The batch stays if it is sealed after all: the connection can break after the seal has committed and before its
    answer arrives. All of it stays if the database is away; the sweep then purges the upload when its lease ends.
    """
    try:
        purge(database, blobs, batch_id)
    except OperationalError as error:
        log.warning("the rows of %s are left to the sweep: %s", batch_id, error.orig)


def _sealed(connection: Connection, row: BatchRecord, released: int) -> Sealed:
    """Count what the batch stores: an upload under way counts for nothing, since it may yet be given up."""
    stored = quotas.add(connection, row.tenant, row.bytes, row.total)
    return Sealed(released, row.queued + row.processing, row, stored)


def counts(pieces: Sequence[Piece]) -> dict[str, int]:
    """The numbers that the pieces add to their batch."""
    items, good = sum(len(piece.items) for piece in pieces), sum(len(piece.open) for piece in pieces)
    return {
        "n": items,
        "n_queued": good,
        "n_failed": items - good,
        "n_bytes": sum(piece.size for piece in pieces),
    }


def _decided(terms: Terms, at: float) -> dict[str, object]:
    return {
        "lane": terms.lane,
        "model_id": terms.model_id,
        "threshold": terms.point.threshold,
        "review_low": terms.point.review_low,
        "review_high": terms.point.review_high,
        "webhook": terms.webhook,
        "on_error": terms.on_error,
        "deadline_at": None if terms.deadline_s is None else at + terms.deadline_s,
        "retention_s": terms.retention_s,
        "name": terms.name,
        "guarded": terms.guarded,
        "promised": terms.promised,
        "part_rule": terms.part_rule,
        "expected_views": terms.expected_views,
        **terms.labels,
    }


def add(connection: Connection, batch_id: str, piece: Piece, lane: str, *, at: float, hold: bool) -> None:
    """The rows of a piece: one for each item, one for each fetch, and the chunks that cover the stored images."""
    if piece.items:
        rows = [_item_row(batch_id, piece.pack, item, at) for item in piece.items]
        if any(item.tags is not None for item in piece.items):  # most batches have none: four columns less
            rows = [{**row, **columns(item.tags)} for row, item in zip(rows, piece.items, strict=True)]
        connection.execute(_INSERT_ITEM, rows)
    fetches.add(connection, batch_id, piece.fetched)
    told_items.add_failures(connection, batch_id, piece.refused)
    for run in piece.runs:
        chunk = {
            "batch_id": batch_id,
            "first_seq": run[0].seq,
            "last_seq": run[-1].seq,
            "pack": piece.pack,
            "lane": lane,
            "status": ChunkStatus.HELD if hold else ChunkStatus.QUEUED,
            "attempts": 0,
            "enqueued_at": at,
            # For the statement that finds the chunk's place:
            "in_batch": batch_id,
            "in_lane": lane,
            "n_items": len(run),
        }
        connection.execute(_INSERT_CHUNK, chunk)


def _item_row(batch_id: str, pack: int, item: ReceivedItem, at: float) -> dict[str, object]:
    code, detail = item.error or (None, None)
    return {
        "batch_id": batch_id,
        "seq": item.seq,
        "filename": item.filename,
        "sha256": item.sha256,
        "pack": pack,
        "offset": item.offset,
        "length": item.length,
        "frame": item.frame,
        "status": ItemStatus.QUEUED if code is None else ItemStatus.FAILED,
        "attempts": 0,
        "error_code": code,
        "error_detail": detail,
        "created_at": at,
        "finished_at": None if code is None else at,
    }
