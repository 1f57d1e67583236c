"""Live workers: what they run on and what they did last."""

from flask import Blueprint, g

from shared.contract.pages import Page, page
from shared.contract.workers import WorkerPayload, worker_payload
from shared.lifecycle import workers
from shared.registry import versions
from web.http.auth import may, require
from web.http.operations import operation
from web.service import service

blueprint = Blueprint("workers", __name__)


@blueprint.get("/v1/workers")
@require("read")
@operation("Live inference processes", {200: Page[WorkerPayload]})
def list_workers() -> Page[WorkerPayload]:
    here = service()
    with here.database.read() as connection:
        rows = workers.alive(connection, here.settings.lease_s)
        usable = {model.id for model in versions.listing(connection, g.tenant)}
    # A worker serves all tenants; the models of the others are none of the caller's business.
    mine = [row._replace(models=[model for model in row.models if model in usable]) for row in rows]
    with_place = may(g.key, "operator")
    return page([worker_payload(row, with_place=with_place) for row in mine], None)
