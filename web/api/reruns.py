"""Reruns: the images of an ended batch by another model version, and the diff of both."""

from flask import Blueprint, Response, g, json, request

from shared.contract.batches import BatchPayload
from shared.contract.reruns import DiffPayload, DiffQuery, RerunRequest
from web.http import trail
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation
from web.resources import batches, reruns
from web.service import service

blueprint = Blueprint("reruns", __name__)


@blueprint.post("/v1/batches/<batch_id>/rerun")
@require("submit")
@operation(
    "Judge the images of an ended batch by another model version, as a batch of their own that shares the bytes",
    {202: BatchPayload},
    body={"application/json": RerunRequest},
    problems=(400, 404, 409, 413, 415, 422, 429, 503),
)
def rerun_batch(batch_id: str, body: RerunRequest) -> Response:
    here = service()
    payload = batches.shown(
        here, reruns.rerun(here, g.tenant, batch_id, body, trail.actor()), base_url(request)
    )
    response = Response(json.dumps(payload), 202, content_type="application/json")
    response.headers["Location"] = payload["links"]["self"]
    response.headers["Retry-After"] = "1"
    return response


@blueprint.get("/v1/batches/<batch_id>/diff/<other_id>")
@require("read")
@operation(
    "The items that a batch and its rerun judge otherwise, and how many there are of each kind",
    {200: DiffPayload},
    query=DiffQuery,
    problems=(400, 404, 409),
)
def diff_batches(batch_id: str, other_id: str, query: DiffQuery) -> DiffPayload:
    return reruns.diff(service(), g.tenant, batch_id, other_id, query)
