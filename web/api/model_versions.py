"""Model versions over HTTP: list, upload, activate, roll back, card."""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flask import Blueprint, request
from sqlalchemy import Connection

from shared.broker import queues
from shared.contract.audit import Action
from shared.contract.events import MODEL_ACTIVATED
from shared.contract.model_versions import ModelPayload, model_payload
from shared.contract.pages import Page, page
from shared.contract.queries import TenantQuery, UploadModelQuery
from shared.contract.states import ModelStatus
from shared.registry import activations, versions
from shared.registry.activations import INSTALLATION
from shared.registry.artifact import read_artifact
from shared.store.engine import database_time
from shared.store.records import ModelRecord
from shared.webhooks import owed, receivers
from web.http import trail
from web.http.auth import require
from web.http.headers import base_url
from web.http.operations import operation, streams_body
from web.http.problems import HttpProblem, not_found
from web.http.tenants import acting_tenant
from web.service import Service, service
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
def list_models(query: TenantQuery) -> dict[str, Any]:
    tenant = acting_tenant(query)
    with service().database.read() as connection:
        rows = versions.listing(connection, tenant)
        shown = _shown(connection, tenant, rows, base_url(request))
    return dict(page(shown, None))


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
def upload_model(query: UploadModelQuery) -> tuple[dict[str, Any], int]:
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
    return _answer(here, tenant, identifier), 201


@blueprint.post("/v1/models/<model_id>/activate")
@require("admin")
@operation(
    "Let the tenant's new batches use this version; no restart. An operator sets the installation's default",
    {200: ModelPayload},
    query=TenantQuery,
    problems=(403, 404, 409),
    repeated="the version that the tenant, or the installation, has activated stays so, and no event tells of it again",
)
def activate_model(model_id: str, query: TenantQuery) -> dict[str, Any]:
    return _switched(model_id, acting_tenant(query), activations.activate, "model.activate")


@blueprint.post("/v1/models/<model_id>/rollback")
@require("admin")
@operation(
    "Go back to this version, which was active before; its `activated_at` says when",
    {200: ModelPayload},
    query=TenantQuery,
    problems=(403, 404, 409),
    repeated="an active version is answered with 409, and stays active",
)
def rollback_model(model_id: str, query: TenantQuery) -> dict[str, Any]:
    return _switched(model_id, acting_tenant(query), activations.roll_back, "model.rollback")


@blueprint.get("/v1/models/<model_id>/card")
@require("read")
@operation(
    "The model's card: metrics, data, operating point, training",
    {200: dict[str, Any]},
    query=TenantQuery,
    problems=(403, 404),
)
def get_card(model_id: str, query: TenantQuery) -> dict[str, Any]:
    tenant = acting_tenant(query)
    with service().database.read() as connection:
        return dict(_existing(connection, tenant, model_id).card)


def _switched(
    model_id: str, tenant: str, switch: Callable[[Connection, str, str], bool], action: Action
) -> dict[str, Any]:
    """The version after `switch` has made it the active one; raises 404, or 409 where it cannot be used."""
    here = service()
    with here.database.write() as connection:
        _check_usable(here, _existing(connection, tenant, model_id))
        owed_ids: list[str] = []
        if switch(connection, model_id, tenant):
            owed_ids = _owe_activation(connection, tenant, model_id, here.settings.public_base)
            trail.note(connection, action, model_id, tenant=tenant)
    for delivery_id in owed_ids:
        here.send_delivery(delivery_id)
    return _answer(here, tenant, model_id)


def _owe_activation(connection: Connection, tenant: str, model_id: str, base: str) -> list[str]:
    """Owe `model.activated` to the tenant's endpoints. The installation's default is an event of each tenant."""
    tenants = receivers.tenants(connection, MODEL_ACTIVATED) if tenant == INSTALLATION else [tenant]
    ids: list[str] = []
    for each in tenants:
        to = receivers.of(connection, each, MODEL_ACTIVATED)
        if not to:
            continue
        at = database_time(connection)
        [shown] = _shown(connection, each, [_existing(connection, tenant, model_id)], base)
        ids += owed.owe(connection, to, [owed.Event(MODEL_ACTIVATED, shown, at, f"{model_id} {at}")], each)
    return ids


def _existing(connection: Connection, tenant: str, model_id: str) -> ModelRecord:
    """A version that the tenant may use; raises 404. For the installation only its own will do: its default must be
    there for every tenant."""
    row = versions.get(connection, model_id, tenant)
    if row is None:
        raise not_found(f"model {model_id}")
    return row


def _check_usable(here: Service, model: ModelRecord) -> None:
    """Raise 409 unless the version has passed its trial and its bytes are there and whole."""
    if model.status != ModelStatus.READY:
        why = f": {model.reason}" if model.reason else ""
        raise HttpProblem(409, "model_not_ready", f"model {model.id} is {model.status}{why}")
    path = here.blobs.artifact_path(model.sha256)
    if not path.is_file():
        raise HttpProblem(409, "artifact_missing", "the bytes of this version are gone")
    read_artifact(path)


def _answer(here: Service, tenant: str, model_id: str) -> dict[str, Any]:
    with here.database.read() as connection:
        row = _existing(connection, tenant, model_id)
        [shown] = _shown(connection, tenant, [row], base_url(request))
    return dict(shown)


def _shown(connection: Connection, tenant: str, rows: Sequence[ModelRecord], base: str) -> list[ModelPayload]:
    active = activations.active_id(connection, tenant)
    activated = defaultdict(list)
    for model_id, at in activations.history(connection, tenant):
        activated[model_id].append(at)
    return [
        model_payload(row, active=row.id == active, activated=activated[row.id], base=base) for row in rows
    ]
