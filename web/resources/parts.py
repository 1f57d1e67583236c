"""Parts: a page of those of a batch, or of all batches of a tenant, with their views."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, or_, select

from shared.contract.pages import ListPayload, page
from shared.contract.parts import PartPayload, part_payload
from shared.contract.queries import BatchPartsQuery, PartListQuery
from shared.contract.states import Verdict
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
    rows = _by_part(tenant, query) if "part_id" in query else _by_batch(tenant, query)
    if (cursor := cursors.decode(str, str)) is not None:
        batch_id, part_id = cursor
        rows = rows.where(or_(Part.batch_id < batch_id, Part.part_id > part_id))
        # Said of the table that the rows are ordered by: no planner carries a bound over a join.
        rows = rows.where((Part.batch_id if "part_id" in query else Batch.id) <= batch_id)
    with here.database.read() as connection:
        found, more = _fetch(connection, rows, query["limit"])
        batches = select(Batch.__table__).where(Batch.id.in_({row.batch_id for row in found}))
        known = {row.id: row for row in map(BatchRecord._make, connection.execute(batches))} if found else {}
        shown = _shown(connection, found, known)
    return page(shown, cursors.encode(found[-1].batch_id, found[-1].part_id) if more else None)


def _by_part(tenant: str, query: PartListQuery) -> Select[Any]:
    """By the index on part_id; a label of the batch is then a look at each of the few batches with this part."""
    rows = select(_ROWS).where(Part.tenant == tenant, *_filters(query))
    if labels := _labels(query):
        rows = rows.join(Batch, Batch.id == Part.batch_id).where(*labels)
    return rows.order_by(Part.batch_id.desc(), Part.part_id)


def _by_batch(tenant: str, query: PartListQuery) -> Select[Any]:
    """From the batches of the tenant to their parts: a batch whose counters show no such part costs no look at any."""
    rows = select(_ROWS).join(Batch, Batch.id == Part.batch_id).where(Batch.tenant == tenant, Batch.parts > 0)
    counters = {Verdict.DEFECT: Batch.defect_parts, Verdict.NO_DEFECT: Batch.no_defect_parts,
                Verdict.REVIEW: Batch.review_parts}  # fmt: skip
    if "verdict" in query:
        rows = rows.where(or_(*(counters[Verdict(verdict)] > 0 for verdict in query["verdict"])))
    if query.get("status") == ["open"]:
        rows = rows.where(Batch.finished_at.is_(None))
    rows = rows.where(*_filters(query), *_labels(query))
    return rows.order_by(Batch.id.desc(), Part.part_id)


def _labels(query: PartListQuery) -> list[ColumnElement[bool]]:
    labels = {label: value for label, value in query.items() if label in ("lot", "order")}
    return [getattr(Batch, label) == value for label, value in labels.items()]


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
