"""Model versions over HTTP: list, upload, activate, roll back, card."""

import tempfile
from pathlib import Path

from flask import Blueprint, request

from shared.broker import queues
from shared.contract.model_versions import ModelPayload
from shared.contract.pages import Page, page
from shared.contract.queries import TenantQuery, UploadModelQuery
from shared.contract.states import ModelStatus
from shared.registry import versions
from shared.registry.artifact import read_artifact
from web.http import trail
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation, streams_body
from web.http.problems import HttpProblem
from web.http.tenants import acting_tenant
from web.resources import model_versions
from web.service import service
from web.upload.body import blocks

blueprint = Blueprint("models", __name__)
_MAX_ARTIFACT = 512 * 2**20


@blueprint.get("/v1/models")
@require("read")
@operation(
    "List the tenant's model versions and the installation's, newest first",
    {200: Page[ModelPayload]},
    query=TenantQuery,
    problems=(403,),
)
def list_models(query: TenantQuery) -> Page[ModelPayload]:
    return page(list(model_versions.listing(service(), acting_tenant(query), base_url(request))), None)


@blueprint.post("/v1/models")
@require("admin")
@operation(
    "Upload an artifact; a worker loads it by trial, and only a `ready` version can be activated",
    {201: ModelPayload},
    query=UploadModelQuery,
    body={
        "application/octet-stream": "the artifact, as `python -m training` wrote it",
        "application/zip": "the artifact, as `python -m training` wrote it",
    },
    problems=(400, 403, 413, 415, 422),
    repeated="the same bytes are one version of a tenant",
)
@streams_body
def upload_model(query: UploadModelQuery) -> tuple[ModelPayload, int]:
    here, tenant = service(), acting_tenant(query)
    if request.mimetype not in ("application/octet-stream", "application/zip"):
        raise HttpProblem(415, "unsupported_media_type", "send the artifact itself, application/octet-stream")
    length = request.content_length or 0
    if length > _MAX_ARTIFACT:
        raise HttpProblem(413, "request_too_large", "an artifact may have 512 MB")
    here.capacity.check_disk(length)
    with tempfile.NamedTemporaryFile(dir=here.blobs.spool_folder(), suffix=".gonogo") as file:
        for block in blocks(request.stream):
            if file.tell() + len(block) > _MAX_ARTIFACT:
                raise HttpProblem(413, "request_too_large", "an artifact may have 512 MB")
            file.write(block)
        file.flush()
        artifact = read_artifact(Path(file.name))
        versions.check_name(artifact.name)  # before any answer shows it
        if not artifact.guarded and not query.get("without_guard", False):
            raise HttpProblem(
                422,
                "no_guard",
                f"{artifact.name} has no guard: make it with `python -m training guard`, or say without_guard=true",
            )
        facts = {"name": artifact.name, "sha256": artifact.sha256}
        identifier = versions.register(
            here.database,
            here.blobs,
            artifact,
            tenant=tenant,
            status=ModelStatus.TESTING,
            also=lambda connection, made: trail.note(
                connection, "model.upload", made, tenant=tenant, **facts
            ),
        )
    here.announcer.send(queues.TRIAL, [identifier], queues.UPKEEP)
    return model_versions.shown(here, tenant, identifier, base_url(request)), 201


@blueprint.post("/v1/models/<model_id>/activate")
@require("admin")
@operation(
    "Let the tenant's new batches use this version; no restart. An operator sets the installation's default",
    {200: ModelPayload},
    query=TenantQuery,
    problems=(403, 404, 409),
    repeated="the version that the tenant, or the installation, has activated stays so, and no event tells of it again",
)
def activate_model(model_id: str, query: TenantQuery) -> ModelPayload:
    here, tenant = service(), acting_tenant(query)
    model_versions.activate(here, tenant, model_id, trail.actor())
    return model_versions.shown(here, tenant, model_id, base_url(request))


@blueprint.post("/v1/models/<model_id>/rollback")
@require("admin")
@operation(
    "Go back to this version, which was active before; its `activated_at` says when",
    {200: ModelPayload},
    query=TenantQuery,
    problems=(403, 404, 409),
    repeated="an active version is answered with 409, and stays active",
)
def rollback_model(model_id: str, query: TenantQuery) -> ModelPayload:
    here, tenant = service(), acting_tenant(query)
    model_versions.roll_back(here, tenant, model_id, trail.actor())
    return model_versions.shown(here, tenant, model_id, base_url(request))


@blueprint.get("/v1/models/<model_id>/card")
@require("read")
@operation(
    "The model's card: metrics, data, operating point, training",
    {200: dict[str, object]},
    query=TenantQuery,
    problems=(403, 404),
)
def get_card(model_id: str, query: TenantQuery) -> dict[str, object]:
    return dict(model_versions.card(service(), acting_tenant(query), model_id))
