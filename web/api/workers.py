"""Live workers: what they run on and what they did last."""

from typing import Any

from flask import Blueprint
from sqlalchemy import select

from shared.contract.pages import page
from shared.contract.workers import WorkerPayload, worker_payload
from shared.store.records import WorkerRecord
from shared.store.tables import Worker
from web.http.auth import require
from web.openapi.operations import operation
from web.service import service

blueprint = Blueprint("workers", __name__)


@blueprint.get("/v1/workers")
@require("read")
@operation("Live inference processes", {200: list[WorkerPayload]})
def list_workers() -> dict[str, Any]:
    with service().database.read() as connection:
        rows = connection.execute(select(Worker.__table__).order_by(Worker.id)).all()
    return dict(page([worker_payload(WorkerRecord._make(row)) for row in rows], None))
