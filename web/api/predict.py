"""An image through the interactive lane, answered when its verdict is there."""

import time

from flask import Blueprint, Response, g, json, request
from sqlalchemy import bindparam, select

from shared.contract.options import PredictForm
from shared.contract.predictions import PredictionPayload, prediction_payload
from shared.contract.queries import PredictQuery
from shared.contract.states import FINISHED_ITEM, Lane
from shared.lifecycle import judges
from shared.lifecycle.judges import Judges
from shared.registry.versions import UnknownModel
from shared.store.records import ItemRecord
from shared.store.tables import Item
from web.http import trail
from web.http.auth import require
from web.http.headers import traceparent
from web.http.operations import operation, streams_body
from web.http.problems import HttpProblem
from web.live.waits import DEADLINE
from web.service import Service, service
from web.upload import names
from web.upload.body import Body
from web.upload.intake import Intake
from web.upload.options import read_options
from web.upload.single import submit_one

blueprint = Blueprint("predict", __name__)
_VERDICT = select(Item.__table__).where(
    Item.batch_id == bindparam("in_batch"), Item.status.in_(FINISHED_ITEM)
)
_SUBMITTED, _BEGAN = "gonogo.submitted", "gonogo.began"
_OURS = {
    "inference_failed",
    "timeout",
    "worker_lost",
    "fetch_failed",
}  # the other item codes are the image's own fault


@blueprint.post("/v1/predict")
@blueprint.post("/predict", endpoint="predict_alias")
@require("submit")
@operation(
    "Judge an image; the answer holds its verdict",
    {200: PredictionPayload},
    query=PredictQuery,
    body={"multipart/form-data": PredictForm, "image/*": "the image itself"},
    problems=(400, 413, 415, 422, 429, 503),
    headers={"X-Filename": ("the name of an image that is sent by itself", names.SCHEMA)},
)
@streams_body
def predict(query: PredictQuery) -> Response:
    here, environ = service(), request.environ
    began = environ.setdefault(_BEGAN, time.perf_counter())
    # A view that waits runs again from its start, without its body: the submission is kept in the environ.
    batch_id = environ.get(_SUBMITTED) or environ.setdefault(_SUBMITTED, _submit(here, query))
    # A verdict takes longer than the first call: to look for it then would only cost time.
    found = _verdict(here, batch_id) if DEADLINE in environ else None
    if found is None:
        here.waiting.hold(environ, batch_id, here.settings.predict_wait_s)
    if found is None:
        raise HttpProblem(503, "no_verdict_yet", f"no verdict in time: see {batch_id}", retry_after_s=2)
    here.tallies.took("predict", time.perf_counter() - began)
    row, known = found
    if row.error_code is not None:
        status = 500 if row.error_code in _OURS else 422
        raise HttpProblem(status, row.error_code, row.error_detail or "no verdict for this image")
    return Response(json.dumps(prediction_payload(row, known)), content_type="application/json")


def _submit(here: Service, query: PredictQuery) -> str:
    options = read_options()
    options["priority"] = Lane.INTERACTIVE.value
    options["model"] = query.get("model")
    intake = Intake(
        here,
        g.tenant,
        origin="predict",
        options=options,
        traceparent=traceparent(request),
        actor=trail.actor(),
    )
    try:
        submit_one(intake, Body.of(request), request.headers.get("X-Filename", "image"))
    except UnknownModel as error:
        error.pointer = error.pointer and "/query/model"
        raise
    return intake.batch_id


def _verdict(here: Service, batch_id: str) -> tuple[ItemRecord, Judges] | None:
    with here.database.read() as connection:
        row = connection.execute(_VERDICT, {"in_batch": batch_id}).first()
        if row is None:
            return None
        item = ItemRecord._make(row)
        return item, judges.of(connection, [item])
