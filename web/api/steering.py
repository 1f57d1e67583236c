"""Steering a batch: pause, resume, and retry of its failed items."""

from flask import Blueprint, g, request

from shared.contract.batches import BatchPayload
from web.http import trail
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation
from web.resources import batches, steering
from web.service import service

blueprint = Blueprint("steering", __name__)


@blueprint.post("/v1/batches/<batch_id>/pause")
@require("submit")
@operation(
    "Pause what has not begun; verdicts of chunks under way are kept",
    {200: BatchPayload},
    problems=(404, 409),
    repeated="a paused batch stays paused",
)
def pause_batch(batch_id: str) -> BatchPayload:
    here = service()
    return batches.shown(here, steering.pause(here, g.tenant, batch_id, trail.actor()), base_url(request))


@blueprint.post("/v1/batches/<batch_id>/resume")
@require("submit")
@operation(
    "Go on with a paused batch",
    {200: BatchPayload},
    problems=(404, 409),
    repeated="a batch that runs stays as it is",
)
def resume_batch(batch_id: str) -> BatchPayload:
    here = service()
    return batches.shown(here, steering.resume(here, g.tenant, batch_id, trail.actor()), base_url(request))


@blueprint.post("/v1/batches/<batch_id>/retry")
@require("submit")
@operation(
    "Judge the failed items of an ended batch again",
    {200: BatchPayload},
    problems=(404, 409),
    repeated="a batch that is being retried stays as it is",
)
def retry_batch(batch_id: str) -> BatchPayload:
    here = service()
    return batches.shown(here, steering.retry(here, g.tenant, batch_id, trail.actor()), base_url(request))
