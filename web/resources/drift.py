"""Drift windows of a tenant. The API and the pages share these functions."""

from sqlalchemy import select

from shared.contract.drift import DriftWindowPayload, drift_payload
from shared.contract.pages import Page, page
from shared.contract.queries import DriftQuery
from shared.store.records import DriftWindowRecord
from shared.store.tables import DriftWindow
from web.http.cursors import Cursors
from web.service import Service


def page_of(here: Service, tenant: str, query: DriftQuery) -> Page[DriftWindowPayload]:
    """A page of the windows, the newest first."""
    cursors, limit = Cursors("drift", tenant, query=query), query["limit"]
    rows = select(DriftWindow.__table__).where(DriftWindow.tenant == tenant)
    if "model_id" in query:
        rows = rows.where(DriftWindow.model_id == query["model_id"])
    if "line" in query:
        rows = rows.where(DriftWindow.line == query["line"])
    if "drifted" in query:
        rows = rows.where(DriftWindow.drifted == query["drifted"])
    if (cursor := cursors.decode(int)) is not None:
        rows = rows.where(DriftWindow.id < cursor[0])
    with here.database.read() as connection:
        found = connection.execute(rows.order_by(DriftWindow.id.desc()).limit(limit + 1)).all()
    records = [DriftWindowRecord._make(row) for row in found[:limit]]
    following = cursors.encode(records[-1].id) if len(found) > limit else None
    return page([drift_payload(record) for record in records], following)
