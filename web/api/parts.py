"""Parts: all views of one `part_id`, with their common verdict."""

from flask import Blueprint, g

from shared.contract.pages import Page
from shared.contract.parts import PartPayload
from shared.contract.queries import BatchPartsQuery, PartListQuery
from web.http.auth import require
from web.http.operations import operation
from web.resources import batches, parts
from web.service import service

blueprint = Blueprint("parts", __name__)


@blueprint.get("/v1/batches/<batch_id>/parts")
@require("read")
@operation(
    "A page of a batch's parts, by part_id",
    {200: Page[PartPayload]},
    query=BatchPartsQuery,
    problems=(400, 404),
)
def list_batch_parts(batch_id: str, query: BatchPartsQuery) -> Page[PartPayload]:
    here = service()
    return parts.of_batch(here, batches.find(here, g.tenant, batch_id), query)


@blueprint.get("/v1/parts")
@require("read")
@operation(
    "The fate of a part: a page of its verdicts in all batches, the newest batch first",
    {200: Page[PartPayload]},
    query=PartListQuery,
    problems=(400,),
)
def list_parts(query: PartListQuery) -> Page[PartPayload]:
    return parts.of_tenant(service(), g.tenant, query)
