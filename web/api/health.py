"""Liveness, readiness and metrics."""

from flask import Blueprint, Response, current_app, json
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from shared.broker import checks
from shared.broker.connection import UNREACHABLE, connect
from shared.contract.health import LivenessPayload, ReadinessPayload
from shared.lifecycle import blocked, workers
from shared.store.tables import Event
from web.http.auth import require
from web.http.operations import operation
from web.server.environ import KEYLESS
from web.service import Service, service

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
@operation("The web process answers", {200: LivenessPayload})
def livez() -> LivenessPayload:
    return {"status": "ok"}


@blueprint.get("/readyz")
@operation(
    "Database, broker and a live worker are there; `degraded` where a batch waits that no worker can serve",
    {200: ReadinessPayload, 503: ReadinessPayload},
)
def readyz() -> Response:
    here = service()
    checks = {"database": _database(here), "broker": _broker(here), "worker": _worker(here)}
    ready = all(detail == "ok" for detail in checks.values())
    # A blocked batch of one tenant must not take the service away from the others, so it is told and stays 200.
    checks["blocked"] = _blocked(here)
    status = "not_ready" if not ready else "ready" if checks["blocked"] == "ok" else "degraded"
    body = {"status": status, "checks": checks}
    response = Response(json.dumps(body), 200 if ready else 503, content_type="application/json")
    if not ready:
        response.headers["Retry-After"] = "2"
    return response


def _database(here: Service) -> str:
    try:
        with here.database.read() as connection:
            connection.execute(select(func.count()).select_from(Event)).one()
    except SQLAlchemyError as error:
        return f"away: {type(error).__name__}"
    return "ok"


def _broker(here: Service) -> str:
    try:
        with connect(here.settings) as client:
            return checks.memory(client).trouble or "ok"
    except UNREACHABLE as error:
        return f"away: {type(error).__name__}"


def _worker(here: Service) -> str:
    try:
        with here.database.read() as connection:
            served = workers.served_lanes(connection, here.settings.lease_s)
    except SQLAlchemyError as error:
        return f"unknown: {type(error).__name__}"
    missing = sorted({"interactive", "normal"} - served)
    return f"no live worker for {', '.join(missing)}" if missing else "ok"


def _blocked(here: Service) -> str:
    try:
        with here.database.read() as connection:
            found = blocked.by_code(connection)
    except SQLAlchemyError as error:
        return f"unknown: {type(error).__name__}"
    told = ", ".join(f"{number} {code}" for code, number in sorted(found.items()))
    return f"batches that no worker can serve: {told}" if found else "ok"


@blueprint.get("/metrics")
@require("metrics", unless=KEYLESS)
@operation("Counters and histograms in the Prometheus text format", {200: "text/plain; version=0.0.4"})
def metrics() -> Response:
    from web.live import metrics as live  # its library is loaded only where it is asked for

    return Response(
        live.render(service(), current_app.config["GONOGO_VERSION"]), content_type=live.CONTENT_TYPE
    )
