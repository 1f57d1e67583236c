"""Rescoring: another operating point over the stored scores of a batch that has ended."""

from flask import Blueprint, g

from shared.contract.pages import Page, page
from shared.contract.rescoring import RescoreAnswer, RescoreRequest, RescoringPayload
from shared.contract.scores import ScoresPayload
from web.http import trail
from web.http.auth import require
from web.http.operations import operation
from web.resources import rescoring, scores
from web.service import service

blueprint = Blueprint("rescoring", __name__)


@blueprint.post("/v1/batches/<batch_id>/rescore")
@require("review")
@operation(
    "Judge an ended batch by another operating point, from its stored scores; images that the guard holds in review "
    "stay there",
    {200: RescoreAnswer},
    body={"application/json": RescoreRequest},
    problems=(400, 404, 409, 413, 415, 422),
    repeated="a batch that has this operating point already stays as it is, and the first rescoring to it is answered",
)
def rescore_batch(batch_id: str, body: RescoreRequest) -> RescoreAnswer:
    return rescoring.rescore(service(), g.tenant, batch_id, body, trail.actor())


@blueprint.get("/v1/batches/<batch_id>/rescorings")
@require("read")
@operation(
    "The rescorings of a batch, the newest first: who changed its operating point, when, and what it changed",
    {200: Page[RescoringPayload]},
    problems=(404,),
)
def list_rescorings(batch_id: str) -> Page[RescoringPayload]:
    return page(list(rescoring.history(service(), g.tenant, batch_id)), None)


@blueprint.get("/v1/batches/<batch_id>/scores")
@require("read")
@operation(
    "The scores of an ended batch in bins, counted at the first request and kept: a page computes from them what "
    "another threshold changes",
    {200: ScoresPayload},
    problems=(404, 409),
)
def get_scores(batch_id: str) -> ScoresPayload:
    return scores.shown(service(), g.tenant, batch_id)
