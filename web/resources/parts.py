"""Parts: a page of those of a batch, or of all batches of a tenant, with their views.

A page takes two statements: one for the parts with the labels of their batches, one for their views. Each is built once
for its form, with a bound parameter for each value, since to build one takes longer than to run it.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from shared.contract.pages import ListPayload, page
from shared.contract.parts import Labels, PartPayload, labels_of, part_payload
from shared.contract.queries import BatchPartsQuery, PartListQuery
from shared.contract.states import Verdict
from shared.lifecycle import judged_parts
from shared.lifecycle.part_views import views_of
from shared.store.records import BatchRecord, PartRecord
from shared.store.tables import Batch, Part
from web.http.cursors import Cursors
from web.service import Service

_COLUMNS = judged_parts.columns()
_LABELS = [Batch.__table__.columns[name] for name in Labels._fields]
_WIDTH = len(PartRecord._fields)


class _Form(NamedTuple):
    """The filters of a page that decide the text of its statement; their values are bound."""

    part_id: bool = False
    lot: bool = False
    order: bool = False
    verdicts: tuple[str, ...] = ()
    open: bool | None = None
    goes_on: bool = False


def of_batch(here: Service, batch: BatchRecord, query: BatchPartsQuery) -> ListPayload:
    """A page of the batch's parts, by part_id; it stays in place while the batch runs."""
    cursors = Cursors("parts", batch.id, query=query)
    cursor = cursors.decode(str)
    given = {"in_batch": batch.id, "after": cursor[0] if cursor else None, **_values(query)}
    with here.database.read() as connection:
        rows = connection.execute(_statement(_of_batch, _form(query, cursor)), given)
        found = [PartRecord._make(row) for row in rows]
        labels = labels_of(batch)
        shown = _shown(connection, [(row, labels) for row in found[: query["limit"]]])
    is_more = len(found) > query["limit"]
    return page(shown, cursors.encode(shown[-1]["part_id"]) if is_more else None)


def of_tenant(here: Service, tenant: str, query: PartListQuery) -> ListPayload:
    """A page of the tenant's parts, those of the newest batch first."""
    cursors = Cursors("parts", tenant, query=query)
    cursor, build = cursors.decode(str, str), _by_part if "part_id" in query else _by_batch
    given = {"of_tenant": tenant, "at": cursor[0] if cursor else None, "after": cursor[1] if cursor else None}
    with here.database.read() as connection:
        rows = connection.execute(_statement(build, _form(query, cursor)), given | _values(query)).all()
        found = [(PartRecord._make(row[:_WIDTH]), Labels._make(row[_WIDTH:])) for row in rows]
        shown = _shown(connection, found[: query["limit"]])
    is_more = len(found) > query["limit"]
    return page(shown, cursors.encode(shown[-1]["batch_id"], shown[-1]["part_id"]) if is_more else None)


@functools.cache
def _statement(build: Callable[[_Form], Select[Any]], form: _Form) -> Select[Any]:
    return build(form)


def _form(query: PartListQuery | BatchPartsQuery, cursor: Sequence[object] | None) -> _Form:
    statuses = {*query.get("status", ())}
    return _Form(
        part_id="part_id" in query,
        lot="lot" in query,
        order="order" in query,
        verdicts=tuple(sorted({*query.get("verdict", ())})),
        open=statuses == {"open"} if len(statuses) == 1 else None,
        goes_on=cursor is not None,
    )


def _values(query: PartListQuery | BatchPartsQuery) -> dict[str, object]:
    """The values that a statement binds; `_form` names those that it has a place for."""
    return {name: query.get(name) for name in ("part_id", "lot", "order")} | {"most": query["limit"] + 1}


def _of_batch(form: _Form) -> Select[Any]:
    rows = select(*_COLUMNS).join(Batch, Batch.id == Part.batch_id)
    rows = rows.where(Part.batch_id == bindparam("in_batch"), *_filters(form)).order_by(Part.part_id)
    if form.goes_on:
        rows = rows.where(Part.part_id > bindparam("after"))
    return rows.limit(bindparam("most"))


def _by_part(form: _Form) -> Select[Any]:
    """By the index on part_id, with a look at each of the few batches with this part."""
    rows = select(*_COLUMNS, *_LABELS).join(Batch, Batch.id == Part.batch_id)
    rows = rows.where(Part.tenant == bindparam("of_tenant"), *_filters(form), *_labels(form))
    return _go_on(rows, form, Part.batch_id).order_by(Part.batch_id.desc(), Part.part_id)


def _by_batch(form: _Form) -> Select[Any]:
    """From the batches of the tenant to their parts: a batch whose counters show no such part costs no look at any."""
    rows = select(*_COLUMNS, *_LABELS).join(Batch, Batch.id == Part.batch_id)
    rows = rows.where(Batch.tenant == bindparam("of_tenant"), Batch.parts > 0)
    counters = {Verdict.DEFECT: Batch.defect_parts, Verdict.NO_DEFECT: Batch.no_defect_parts,
                Verdict.REVIEW: Batch.review_parts}  # fmt: skip
    if form.verdicts:
        rows = rows.where(or_(*(counters[Verdict(verdict)] > 0 for verdict in form.verdicts)))
    if form.open:
        rows = rows.where(Batch.finished_at.is_(None))
    rows = rows.where(*_filters(form), *_labels(form))
    return _go_on(rows, form, Batch.id).order_by(Batch.id.desc(), Part.part_id)


def _go_on(
    rows: Select[Any], form: _Form, ordered_by: ColumnElement[str] | InstrumentedAttribute[str]
) -> Select[Any]:
    """Behind the last row of the page before. Names the column that orders: no planner carries a bound over a join."""
    if form.goes_on:
        rows = rows.where(or_(Part.batch_id < bindparam("at"), Part.part_id > bindparam("after")))
        rows = rows.where(ordered_by <= bindparam("at"))
    return rows.limit(bindparam("most"))


def _labels(form: _Form) -> list[ColumnElement[bool]]:
    columns = {"lot": Batch.lot, "order": Batch.order}
    return [column == bindparam(name) for name, column in columns.items() if getattr(form, name)]


def _filters(form: _Form) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if form.part_id:
        filters.append(Part.part_id == bindparam("part_id"))
    if form.verdicts:
        filters.append(judged_parts.NOW.in_(form.verdicts))
    if form.open is not None:
        filters.append(Part.finished_at.is_(None) if form.open else Part.finished_at.is_not(None))
    return filters


def _shown(connection: Connection, found: Sequence[tuple[PartRecord, Labels]]) -> list[PartPayload]:
    views = views_of(connection, [row for row, _ in found])
    return [part_payload(row, labels, views.get((row.batch_id, row.part_id), [])) for row, labels in found]
