"""Drafts: append to one part by part, name its images by a manifest, finalize it."""

import tempfile

from flask import Blueprint, Response, g, json, request

from shared.contract.batches import BatchPayload
from shared.contract.manifests import MAX_MANIFEST_BYTES
from shared.contract.options import AppendForm
from shared.contract.queries import AppendQuery
from web.http import trail
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation, streams_body
from web.http.precheck import check_media_type
from web.http.problems import HttpProblem
from web.resources import batches, drafts
from web.service import service
from web.upload.append import append
from web.upload.body import Body
from web.upload.manifest import IN_MEMORY_BYTES

blueprint = Blueprint("drafts", __name__)
_MANIFEST = {
    "text/csv": "with a header line: filename, custom_id, part_id, view, metadata",
    "application/x-ndjson": "an object in each line with the same members",
}


@blueprint.post("/v1/batches/<batch_id>/items")
@require("submit")
@operation(
    "Append a part to a draft; a part that has arrived is not appended again",
    {200: BatchPayload},
    query=AppendQuery,
    body={"multipart/form-data": AppendForm},
    problems=(400, 404, 409, 413, 415, 422, 429, 503),
    answer_headers={"Idempotent-Replayed": "`true` where the part had arrived before"},
    repeated="a part that has arrived is not appended again",
)
@streams_body
def append_items(batch_id: str, query: AppendQuery) -> Response:
    here = service()
    batches.find(here, g.tenant, batch_id)
    is_new = append(here, g.tenant, batch_id, query["part_number"], Body.of(request), trail.actor())
    payload = batches.shown(here, batches.find(here, g.tenant, batch_id), base_url(request))
    response = Response(json.dumps(payload), content_type="application/json")
    if not is_new:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@blueprint.put("/v1/batches/<batch_id>/manifest")
@require("submit")
@operation(
    "Give the images of a draft the ids, views and metadata of a manifest",
    {200: BatchPayload},
    body=_MANIFEST,
    problems=(400, 404, 409, 413, 415, 422),
)
@streams_body
def put_manifest(batch_id: str) -> BatchPayload:
    here = service()
    check_media_type(_MANIFEST)
    batches.find(here, g.tenant, batch_id)
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(here.blobs.spool_folder())) as text:
        while block := request.stream.read(2**17):
            text.write(block)
            if text.tell() > MAX_MANIFEST_BYTES:
                raise HttpProblem(413, "request_too_large", f"a manifest may have {MAX_MANIFEST_BYTES} bytes")
        row = drafts.tag(here, g.tenant, batch_id, text, trail.actor())
    return batches.shown(here, row, base_url(request))


@blueprint.post("/v1/batches/<batch_id>/finalize")
@require("submit")
@operation(
    "Close a draft to appends",
    {200: BatchPayload},
    problems=(404, 409, 429),
    repeated="a batch that was a draft stays as it is",
)
def finalize_batch(batch_id: str) -> BatchPayload:
    here = service()
    return batches.shown(here, drafts.finalize(here, g.tenant, batch_id, trail.actor()), base_url(request))
