"""Model versions over HTTP: list, upload, activate, roll back, card."""

import tempfile
from pathlib import Path
from typing import Any

from flask import Blueprint, request
from sqlalchemy import Connection

from shared.contract.models import ModelPayload, model_payload
from shared.contract.pages import Page, page
from shared.registry import versions
from shared.registry.artifact import read_artifact
from shared.store.records import ModelRecord
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation
from web.http.problems import HttpProblem, not_found
from web.service import Service, service

blueprint = Blueprint("models", __name__)
_MAX_ARTIFACT = 512 * 2**20


@blueprint.get("/v1/models")
@require("read")
@operation("List model versions, newest first", {200: Page[ModelPayload]})
def list_models() -> dict[str, Any]:
    with service().database.read() as connection:
        active = versions.active_id(connection)
        rows = versions.listing(connection)
    data = [model_payload(row, active=row.id == active, base=base_url(request)) for row in rows]
    return dict(page(data, None))


@blueprint.post("/v1/models")
@require("admin")
@operation(
    "Upload an artifact; it is loaded by trial by the workers before it can be activated",
    {201: ModelPayload},
    body={"application/octet-stream": "the artifact, as `python -m training` wrote it"},
    problems=(400, 413, 415),
)
def upload_model() -> tuple[dict[str, Any], int]:
    here = service()
    if request.mimetype not in ("application/octet-stream", "application/zip"):
        raise HttpProblem(415, "unsupported_media_type", "send the artifact itself, application/octet-stream")
    here.capacity.check_disk(request.content_length or 0)
    with tempfile.NamedTemporaryFile(dir=here.blobs.spool_folder(), suffix=".gonogo") as file:
        while block := request.stream.read(2**18):
            if file.tell() + len(block) > _MAX_ARTIFACT:
                raise HttpProblem(413, "request_too_large", "an artifact may have 512 MB")
            file.write(block)
        file.flush()
        identifier = versions.register(here.database, here.blobs, read_artifact(Path(file.name)))
    return _shown(here, identifier), 201


@blueprint.post("/v1/models/<model_id>/activate")
@require("admin")
@operation("Let new batches use this version; no restart", {200: ModelPayload}, problems=(404, 409))
def activate_model(model_id: str) -> dict[str, Any]:
    here = service()
    with here.database.write() as connection:
        model = _existing(connection, model_id)
        if not here.blobs.artifact_path(model.sha256).is_file():
            raise HttpProblem(409, "artifact_missing", "the bytes of this version are gone")
        read_artifact(here.blobs.artifact_path(model.sha256))
        versions.activate(connection, model.id)
    return _shown(here, model_id)


@blueprint.post("/v1/models/<model_id>/rollback")
@require("admin")
@operation("Activate the version that was active before this one", {200: ModelPayload}, problems=(404, 409))
def rollback_model(model_id: str) -> dict[str, Any]:
    here = service()
    with here.database.write() as connection:
        _existing(connection, model_id)
        previous = versions.previous_id(connection)
        if versions.active_id(connection) != model_id or previous is None:
            raise HttpProblem(409, "wrong_state", "this version is not active, or none was active before it")
        versions.activate(connection, previous)
    return _shown(here, previous)


@blueprint.get("/v1/models/<model_id>/card")
@require("read")
@operation(
    "The model's card: metrics, data, operating point, training", {200: dict[str, Any]}, problems=(404,)
)
def get_card(model_id: str) -> dict[str, Any]:
    with service().database.read() as connection:
        return dict(_existing(connection, model_id).card)


def _existing(connection: Connection, model_id: str) -> ModelRecord:
    row = versions.get(connection, model_id)
    if row is None:
        raise not_found(f"model {model_id}")
    return row


def _shown(here: Service, model_id: str) -> dict[str, Any]:
    with here.database.read() as connection:
        active = versions.active_id(connection)
        row = _existing(connection, model_id)
    return dict(model_payload(row, active=row.id == active, base=base_url(request)))
