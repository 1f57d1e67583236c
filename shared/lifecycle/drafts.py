"""A draft: a batch that clients see and append to, part by part, until it is finalized.

Work on its items begins at once, since its terms were fixed when it was made. A part has a number of the client's
choice and is committed whole with that number: sent twice, it is found there. A draft is an upload with a long lease;
the sweep deletes it once the lease has ended. Locks are taken as in `shared.lifecycle.endings`: of an append, the
batch's row first and then only new rows.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from shared.access import quotas
from shared.access.quotas import Stored
from shared.contract.events import QUEUED
from shared.contract.states import BatchStatus
from shared.lifecycle import events, parts
from shared.store.engine import clock
from shared.store.records import BatchRecord
from shared.store.tables import Batch, DraftPart, Item

PACKS = 4096  # pack numbers that an append reserves: no two appends write the same file
_ASKED_AT_ONCE = 500
_IS_DRAFT = (Batch.id == bindparam("in_batch"), Batch.status == BatchStatus.DRAFT)
_KEEP_OPEN = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"))
    .values(
        sealed=False,
        status=BatchStatus.DRAFT,
        draft=bindparam("kept"),
        packs=Batch.packs + bindparam("used_packs"),  # a fetch may have begun, and have taken a number
        upload_lease_until=clock() + bindparam("lease_s"),
        version=Batch.version + 1,
    )
)
_RESERVE = (
    update(Batch)
    .where(*_IS_DRAFT, Batch.tenant == bindparam("of_tenant"))
    .values(packs=Batch.packs + PACKS, upload_lease_until=clock() + bindparam("lease_s"))
    .returning(Batch.packs - PACKS, Batch.lane, Batch.draft)
)
_GROW = (
    update(Batch)
    .where(*_IS_DRAFT)
    .values(
        total=Batch.total + bindparam("n"),
        queued=Batch.queued + bindparam("n_queued"),
        failed=Batch.failed + bindparam("n_failed"),
        bytes=Batch.bytes + bindparam("n_bytes"),
        upload_lease_until=clock() + bindparam("lease_s"),
        version=Batch.version + 1,
    )
    .returning(Batch.total - bindparam("n"))
)
_FINALIZE = (
    update(Batch)
    .where(*_IS_DRAFT, Batch.total > 0)
    .values(
        sealed=True,
        status=case((Batch.started_at.is_(None), BatchStatus.QUEUED), else_=BatchStatus.PROCESSING),
        upload_lease_until=None,
        # The deadline counts from now on.
        deadline_at=case(
            (Batch.deadline_at.is_(None), null()), else_=Batch.deadline_at + clock() - Batch.created_at
        ),
        version=Batch.version + 1,
    )
    .returning(Batch.__table__)
)


class Kept(NamedTuple):
    """The options of a draft, as they were asked for, and how many pack numbers its submission has used."""

    options: dict[str, object]
    packs: int


class PartArrived(Exception):
    """A part of this number has arrived before."""


class Reserved(NamedTuple):
    """The facts that an append needs: its first pack number, the lane, and the options that count for each image."""

    first_pack: int
    lane: str
    options: dict[str, object]


def keep_open(connection: Connection, batch_id: str, kept: Kept, lease_s: float) -> None:
    """Leave a batch open, in the transaction that sealed it."""
    connection.execute(
        _KEEP_OPEN,
        {"in_batch": batch_id, "kept": kept.options, "used_packs": kept.packs, "lease_s": lease_s},
    )


def reserve(connection: Connection, tenant: str, batch_id: str, lease_s: float) -> Reserved | None:
    """Begin an append; None where the tenant has no such draft."""
    row = connection.execute(
        _RESERVE, {"in_batch": batch_id, "of_tenant": tenant, "lease_s": lease_s}
    ).first()
    return None if row is None else Reserved(row[0], row[1], row[2] or {})


def fingerprint(connection: Connection, batch_id: str, number: int) -> str | None:
    """The fingerprint of a part that has arrived."""
    query = select(DraftPart.fingerprint).where(DraftPart.batch_id == batch_id, DraftPart.number == number)
    return connection.scalar(query)


def arrived(connection: Connection, batch_id: str, at: float | None = None) -> list[int]:
    """The numbers of the parts that have arrived, or that had arrived at a time."""
    query = select(DraftPart.number).where(DraftPart.batch_id == batch_id).order_by(DraftPart.number)
    if at is not None:
        query = query.where(DraftPart.created_at <= at)
    return list(connection.scalars(query))


def grow(
    connection: Connection,
    batch_id: str,
    number: int,
    fingerprint: str,
    counts: dict[str, int],
    lease_s: float,
) -> int | None:
    """Count the items of a part, and note that it has arrived; returns the place of its first item.

    None where the batch is no draft any more. Raises PartArrived where the part has arrived before. The caller
    inserts the items.
    """
    first = connection.scalar(_GROW, {"in_batch": batch_id, "lease_s": lease_s, **counts})
    if first is not None:
        row = {"batch_id": batch_id, "number": number, "fingerprint": fingerprint, "items": counts["n"]}
        try:
            connection.execute(insert(DraftPart).values(created_at=clock()), row)
        except IntegrityError as error:
            raise PartArrived from error
    return first


def taken(connection: Connection, batch_id: str, custom_ids: Sequence[str]) -> set[str]:
    """The custom ids among these that items of the batch have."""
    found: set[str] = set()
    for start in range(0, len(custom_ids), _ASKED_AT_ONCE):
        some: Collection[str] = custom_ids[start : start + _ASKED_AT_ONCE]
        query = select(Item.custom_id).where(Item.batch_id == batch_id, Item.custom_id.in_(some))
        found |= {str(each) for each in connection.scalars(query)}
    return found


class Finalized(NamedTuple):
    """How many items of the batch are open, whether a failed one must end it, and what its tenant stores now."""

    open: int
    abort: bool
    stored: Stored


def finalize(connection: Connection, batch_id: str) -> Finalized | None:
    """Close a draft to appends. None where it is no draft, or holds no item."""
    row = connection.execute(_FINALIZE, {"in_batch": batch_id}).first()
    if row is None:
        return None
    batch = BatchRecord._make(row)
    parts.make(connection, batch_id)
    parts.complete(connection, batch_id)
    events.note(connection, batch_id, QUEUED)
    stored = quotas.add(connection, batch.tenant, batch.bytes, batch.total)
    return Finalized(batch.queued + batch.processing, batch.on_error == "abort" and batch.failed > 0, stored)


def packs(connection: Connection, batch_id: str) -> set[int]:
    """The packs that items name."""
    query = select(Item.pack).where(Item.batch_id == batch_id, Item.length > 0).distinct()
    return set(connection.scalars(query))
