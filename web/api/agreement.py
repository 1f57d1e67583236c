"""How well the model and persons agree over a window of time."""

from flask import Blueprint, g

from shared.contract.agreement import AgreementPayload, AgreementQuery
from web.http.auth import require
from web.http.operations import operation
from web.resources import agreement, reviews
from web.service import service

blueprint = Blueprint("agreement", __name__)


@blueprint.get("/v1/stats/agreement")
@require("read")
@operation(
    "Agreement of the model with persons; escape and false-reject rates from the audit's sample, with limits",
    {200: AgreementPayload},
    query=AgreementQuery,
    problems=(400,),
)
def get_agreement(query: AgreementQuery) -> AgreementPayload:
    here = service()
    return agreement.agreement(here, g.tenant, query, reviews.shares(here))
