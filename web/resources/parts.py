"""Parts: a page of those of a batch, or of all batches of a tenant, with their views."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select

from shared.contract.pages import ListPayload, page
from shared.contract.parts import PartPayload, part_payload
from shared.contract.queries import BatchPartsQuery, PartListQuery
from shared.lifecycle.part_views import views_of
from shared.store.records import BatchRecord, PartRecord
from shared.store.tables import Batch, Part
from web.http.cursors import Cursors
from web.service import Service

_ROWS = Part.__table__


def of_batch(here: Service, batch: BatchRecord, query: BatchPartsQuery) -> ListPayload:
    """A page of the batch's parts, by part_id; it stays in place while the batch runs."""
    cursors = Cursors("parts", batch.id, query=query)
    rows = select(_ROWS).where(Part.batch_id == batch.id, *_filters(query)).order_by(Part.part_id)
    if (cursor := cursors.decode(str)) is not None:
        rows = rows.where(Part.part_id > cursor[0])
    with here.database.read() as connection:
        found, more = _fetch(connection, rows, query["limit"])
        shown = _shown(connection, found, {batch.id: batch})
    return page(shown, cursors.encode(found[-1].part_id) if more else None)


def of_tenant(here: Service, tenant: str, query: PartListQuery) -> ListPayload:
    """A page of the tenant's parts, those of the newest batch first."""
    cursors = Cursors("parts", tenant, query=query)
    rows = select(_ROWS).where(Part.tenant == tenant, *_filters(query))
    rows = rows.order_by(Part.batch_id.desc(), Part.part_id)
    labels = {label: value for label, value in query.items() if label in ("lot", "order")}
    if labels:  # without the join, the index on part_id is the one way to go
        rows = rows.join(Batch, Batch.id == Part.batch_id).where(Batch.tenant == tenant)
        rows = rows.where(*(getattr(Batch, label) == value for label, value in labels.items()))
    if (cursor := cursors.decode(str, str)) is not None:
        batch_id, part_id = cursor
        rows = rows.where(
            or_(Part.batch_id < batch_id, and_(Part.batch_id == batch_id, Part.part_id > part_id))
        )
    with here.database.read() as connection:
        found, more = _fetch(connection, rows, query["limit"])
        batches = select(Batch.__table__).where(Batch.id.in_({row.batch_id for row in found}))
        known = {row.id: row for row in map(BatchRecord._make, connection.execute(batches))} if found else {}
        shown = _shown(connection, found, known)
    return page(shown, cursors.encode(found[-1].batch_id, found[-1].part_id) if more else None)


def _filters(query: BatchPartsQuery) -> list[Any]:
    filters: list[Any] = []
    if "part_id" in query:
        filters.append(Part.part_id == query["part_id"])
    if "verdict" in query:
        filters.append(Part.verdict.in_(query["verdict"]))
    if "status" in query and len({*query["status"]}) == 1:
        is_open = query["status"][0] == "open"
        filters.append(Part.finished_at.is_(None) if is_open else Part.finished_at.is_not(None))
    return filters


def _fetch(connection: Connection, rows: Select[Any], limit: int) -> tuple[list[PartRecord], bool]:
    """A page's rows, and whether there are more."""
    found = [PartRecord._make(row) for row in connection.execute(rows.limit(limit + 1))]
    return found[:limit], len(found) > limit


def _shown(
    connection: Connection, found: Sequence[PartRecord], batches: dict[str, BatchRecord]
) -> list[PartPayload]:
    views = views_of(connection, found)
    return [
        part_payload(row, batches[row.batch_id], views.get((row.batch_id, row.part_id), []))
        for row in found
        if row.batch_id in batches  # it may be deleted at this moment
    ]
