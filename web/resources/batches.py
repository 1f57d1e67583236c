"""Batches of a tenant: find one, list a page, cancel. The API and the pages share these functions."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, or_, select

from shared.access import audit
from shared.access.audit import Actor
from shared.contract.batches import BatchPayload, DraftPayload, draft_payload
from shared.contract.options import LABELS
from shared.contract.pages import ListPayload, page
from shared.contract.queries import BatchListQuery
from shared.contract.states import BatchStatus
from shared.lifecycle import closing, drafts
from shared.store.engine import database_time
from shared.store.records import BatchRecord
from shared.store.tables import Batch, BatchEvent
from web.http.cursors import SETTLED_S, Cursors
from web.http.problems import HttpProblem, not_found
from web.resources.metadata import noted
from web.service import Service

_ROWS = Batch.__table__
_SHOWN = or_(Batch.sealed.is_(True), Batch.status == BatchStatus.DRAFT)
_VISIBLE = and_(Batch.id == bindparam("id"), Batch.tenant == bindparam("tenant"), _SHOWN)
_GET = select(_ROWS).where(_VISIBLE)
_VERSION = select(Batch.version, Batch.finished_at).where(_VISIBLE)


def find(here: Service, tenant: str, batch_id: str) -> BatchRecord:
    """A batch of the tenant; raises 404."""
    with here.database.read() as connection:
        row = connection.execute(_GET, {"id": batch_id, "tenant": tenant}).first()
    if row is None:
        raise not_found(f"batch {batch_id}")
    return BatchRecord._make(row)


def version(here: Service, tenant: str, batch_id: str) -> tuple[str, bool]:
    """The entity tag of a batch, and whether the batch has ended; raises 404. Cheaper than `find`."""
    with here.database.read() as connection:
        row = connection.execute(_VERSION, {"id": batch_id, "tenant": tenant}).first()
    if row is None:
        raise not_found(f"batch {batch_id}")
    return tag(batch_id, row.version), row.finished_at is not None


def tag(batch_id: str, version: int) -> str:
    """The entity tag of one version of a batch, without its quotes."""
    return f"{batch_id}-{version}"


def shown(here: Service, row: BatchRecord, base: str, at: float | None = None) -> BatchPayload:
    """A batch as the contract shows it; `base` is the service's URL, for the links. `at`: when the row was so."""
    payload = here.batch_payload(row, base, at)
    if (draft := draft_of(here, row, at)) is not None:
        payload["draft"] = draft
    return payload


def draft_of(here: Service, row: BatchRecord, at: float | None = None) -> DraftPayload | None:
    """The parts of a draft that have arrived; None for any other batch."""
    if row.status != BatchStatus.DRAFT:
        return None
    with here.database.read() as connection:
        numbers = drafts.arrived(connection, row.id, at)
    return draft_payload(numbers, row.upload_lease_until, row.draft)


def page_of(here: Service, tenant: str, query: BatchListQuery, base: str) -> ListPayload:
    """A page of the tenant's batches: running ones first, newest first.

    All pages of a walk have the order of the time of its first page, which each cursor carries: a batch that ends, or
    is retried, during the walk keeps its place, so the walk shows it once.
    """
    limit, cursors = query["limit"], Cursors("batches", tenant, query=query)
    cursor = cursors.decode(float, bool, str)
    rows = select(_ROWS).where(
        Batch.tenant == tenant, _SHOWN, Batch.origin == query["origin"], *_filters(here, query)
    )
    rows = rows.order_by(Batch.id.desc())
    with here.database.read() as connection:
        as_of, in_ended, last_id = cursor or (database_time(connection) - SETTLED_S, False, None)
        open_ones, ended_ones = rows.where(_was_open(as_of)), rows.where(~_was_open(as_of))
        if last_id is not None and in_ended:
            ended_ones = ended_ones.where(Batch.id < last_id)
        elif last_id is not None:
            open_ones = open_ones.where(Batch.id < last_id)
        found = [] if in_ended else _fetch(connection, open_ones, limit + 1)
        still_open = len(found)
        if still_open <= limit:
            found += _fetch(connection, ended_ones, limit + 1 - still_open)
    following = None
    if len(found) > limit:
        following = cursors.encode(as_of, limit > still_open, found[limit - 1].id)
    return page([shown(here, record, base) for record in found[:limit]], following)


def _was_open(as_of: float) -> ColumnElement[bool]:
    """Whether the batch had not ended at that time. For a batch that was retried since, its events tell."""
    ended_then = (
        select(BatchEvent.finished_at)
        .where(BatchEvent.batch_id == Batch.id, func.coalesce(BatchEvent.finished_at, BatchEvent.at) <= as_of)
        .order_by(BatchEvent.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    return and_(
        or_(Batch.finished_at.is_(None), Batch.finished_at > as_of),
        or_(Batch.retried_at.is_(None), Batch.retried_at <= as_of, ended_then.is_(None)),
    )


def _fetch(connection: Connection, rows: Select[Any], limit: int) -> list[BatchRecord]:
    return [BatchRecord._make(row) for row in connection.execute(rows.limit(limit))]


def _filters(here: Service, query: BatchListQuery) -> list[ColumnElement[bool]]:
    labels = {label: value for label, value in query.items() if label in LABELS}
    filters: list[ColumnElement[bool]] = [getattr(Batch, label) == value for label, value in labels.items()]
    filters += noted(Batch.metadata_, query.get("metadata", {}), is_sqlite=here.database.is_sqlite)
    if "q" in query:
        filters.append(Batch.name.icontains(query["q"], autoescape=True))
    if "status" in query:
        filters.append(Batch.status.in_(query["status"]))
    if "created_after" in query:
        # Answers show milliseconds: the batch whose own created_at is sent back is not after it.
        filters.append(Batch.created_at >= query["created_after"] + 0.001)
    if "created_before" in query:
        filters.append(Batch.created_at < query["created_before"])
    return filters


def cancel(here: Service, tenant: str, batch_id: str, actor: Actor) -> BatchRecord:
    """Cancel the items that no worker has begun; returns the batch after that. Raises 404, or 409 once it has ended."""
    find(here, tenant, batch_id)
    with here.database.write() as connection:
        cancelled = closing.cancel(connection, batch_id)
        if cancelled:
            audit.append(connection, actor, "batch.cancel", tenant=tenant, object_id=batch_id)
    here.complete(batch_id)
    row = find(here, tenant, batch_id)
    if not cancelled and row.status not in (BatchStatus.CANCELLING, BatchStatus.CANCELLED):
        raise HttpProblem(409, "wrong_state", f"a batch that is {row.status} can't be cancelled")
    return row
