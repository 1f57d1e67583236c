"""Shadows: a candidate also scores a share of the images, and its scores are compared with the verdicts."""

from flask import Blueprint, g

from shared.contract.pages import Page
from shared.contract.queries import ShadowListQuery
from shared.contract.shadows import ShadowPayload, ShadowReport, ShadowRequest, shadow_payload
from web.http import trail
from web.http.auth import require
from web.http.operations import operation
from web.resources import shadows
from web.service import service

blueprint = Blueprint("shadows", __name__)


@blueprint.post("/v1/shadows")
@require("admin")
@operation(
    "Let a candidate also score a share of the images of a model version, as spare work; no verdict comes of it",
    {201: ShadowPayload},
    body={"application/json": ShadowRequest},
    problems=(400, 409, 413, 415, 422),
    repeated="a shadow of the same two versions that runs already is answered as it is",
)
def start_shadow(body: ShadowRequest) -> tuple[ShadowPayload, int]:
    row, _ = shadows.start(service(), g.tenant, body, trail.actor())
    return shadow_payload(row), 201


@blueprint.get("/v1/shadows")
@require("read")
@operation(
    "A page of the tenant's shadows, the newest first",
    {200: Page[ShadowPayload]},
    query=ShadowListQuery,
    problems=(400,),
)
def list_shadows(query: ShadowListQuery) -> Page[ShadowPayload]:
    return shadows.page_of(service(), g.tenant, query)


@blueprint.get("/v1/shadows/<shadow_id>")
@require("read")
@operation(
    "A shadow with its diff: how often the candidate gives another verdict, how often persons agree with either, and a "
    "recommendation with its limits",
    {200: ShadowReport},
    problems=(404,),
)
def get_shadow(shadow_id: str) -> ShadowReport:
    return shadows.report(service(), g.tenant, shadow_id)


@blueprint.post("/v1/shadows/<shadow_id>/stop")
@require("admin")
@operation(
    "Stop a shadow; its scores stay until their batches are deleted",
    {200: ShadowPayload},
    problems=(404,),
    repeated="a shadow that was stopped stays as it is",
)
def stop_shadow(shadow_id: str) -> ShadowPayload:
    return shadow_payload(shadows.stop(service(), g.tenant, shadow_id, trail.actor()))
