"""Drift windows: how far the images of a line lie from those that the model was tested on."""

from flask import Blueprint, g
from sqlalchemy import select

from shared.contract.drift import DriftWindowPayload, drift_payload
from shared.contract.pages import Page, page
from shared.contract.queries import DriftQuery
from shared.store.records import DriftWindowRecord
from shared.store.tables import DriftWindow
from web.http.auth import require
from web.http.cursors import Cursors
from web.http.operations import operation
from web.service import service

blueprint = Blueprint("drift", __name__)


@blueprint.get("/v1/stats/drift")
@require("read")
@operation(
    "List windows of images with their distance from the model's reference, newest first",
    {200: Page[DriftWindowPayload]},
    query=DriftQuery,
    problems=(400,),
)
def list_drift(query: DriftQuery) -> Page[DriftWindowPayload]:
    cursors, limit = Cursors("drift", g.tenant, query=query), query["limit"]
    rows = select(DriftWindow.__table__).where(DriftWindow.tenant == g.tenant)
    if "model_id" in query:
        rows = rows.where(DriftWindow.model_id == query["model_id"])
    if "line" in query:
        rows = rows.where(DriftWindow.line == query["line"])
    if "drifted" in query:
        rows = rows.where(DriftWindow.drifted == query["drifted"])
    if (cursor := cursors.decode(int)) is not None:
        rows = rows.where(DriftWindow.id < cursor[0])
    with service().database.read() as connection:
        found = connection.execute(rows.order_by(DriftWindow.id.desc()).limit(limit + 1)).all()
    records = [DriftWindowRecord._make(row) for row in found[:limit]]
    following = cursors.encode(records[-1].id) if len(found) > limit else None
    return page([drift_payload(record) for record in records], following)
