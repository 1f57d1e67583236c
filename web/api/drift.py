"""Drift windows: how far the images of a line lie from those that the model was tested on."""

from flask import Blueprint, g

from shared.contract.drift import DriftWindowPayload
from shared.contract.pages import Page
from shared.contract.queries import DriftQuery
from web.http.auth import require
from web.http.operations import operation
from web.resources import drift
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
    return drift.page_of(service(), g.tenant, query)
