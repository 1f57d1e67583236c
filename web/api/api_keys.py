"""API keys of the caller's tenant."""

from typing import Any

from flask import Blueprint, g, request
from sqlalchemy import select

from shared.access import keys
from shared.contract.keys import ApiKeyPayload, key_payload
from shared.contract.pages import page
from shared.store.records import ApiKeyRecord
from shared.store.tables import ApiKey
from web.http import auth
from web.http.problems import HttpProblem, not_found
from web.openapi import request_bodies
from web.openapi.operations import operation
from web.service import service

blueprint = Blueprint("api_keys", __name__)


@blueprint.get("/v1/api-keys")
@auth.require("admin")
@operation("List keys; their secrets are never shown again", {200: list[ApiKeyPayload]})
def list_keys() -> dict[str, Any]:
    with service().database.read() as connection:
        rows = keys.list_keys(connection, g.tenant)
    return dict(page([key_payload(row) for row in rows], None))


@blueprint.post("/v1/api-keys")
@auth.require("admin")
@operation(
    "Make a key; the answer is the only place where its secret is shown",
    {201: ApiKeyPayload},
    body={"application/json": request_bodies.ApiKeyRequest},
    problems=(400, 422),
)
def create_key() -> tuple[dict[str, Any], int]:
    asked = request.get_json(silent=True)
    if not isinstance(asked, dict) or not isinstance(asked.get("name"), str):
        raise HttpProblem(400, "bad_request", "send a JSON object with name and scopes")
    scopes = asked.get("scopes", ["submit", "read"])
    if not isinstance(scopes, list):
        raise HttpProblem(400, "bad_request", "scopes is a list")
    with service().database.write() as connection:
        identifier, secret = keys.create_key(
            connection, tenant=g.tenant, name=asked["name"][:200], scopes=map(str, scopes)
        )
        row = connection.execute(select(ApiKey.__table__).where(ApiKey.id == identifier)).one()
    return dict(key_payload(ApiKeyRecord._make(row), secret)), 201


@blueprint.delete("/v1/api-keys/<key_id>")
@auth.require("admin")
@operation("Revoke a key", {204: None}, problems=(404,))
def revoke_key(key_id: str) -> tuple[str, int]:
    with service().database.write() as connection:
        revoked = keys.revoke_key(connection, g.tenant, key_id)
    if not revoked:
        raise not_found(f"key {key_id}")
    auth.forget()
    return "", 204
