"""API keys of the caller's tenant."""

from typing import Any

from flask import Blueprint, g
from sqlalchemy import select

from shared.access import keys
from shared.clock import now
from shared.contract.keys import ApiKeyPayload, ApiKeyRequest, key_payload
from shared.contract.pages import Page, page
from shared.contract.problems import ErrorEntry
from shared.contract.scopes import may_grant
from shared.store.records import ApiKeyRecord
from shared.store.tables import ApiKey
from web.http import auth
from web.http.operations import operation
from web.http.problems import HttpProblem, not_found
from web.service import service

blueprint = Blueprint("api_keys", __name__)


@blueprint.get("/v1/api-keys")
@auth.require("admin")
@operation("List keys; their secrets are never shown again", {200: Page[ApiKeyPayload]})
def list_keys() -> dict[str, Any]:
    with service().database.read() as connection:
        rows = keys.list_keys(connection, g.tenant)
    return dict(page([key_payload(row) for row in rows], None))


@blueprint.post("/v1/api-keys")
@auth.require("admin")
@operation(
    "Make a key; its secret is shown in this answer and never again",
    {201: ApiKeyPayload},
    body={"application/json": ApiKeyRequest},
    problems=(400, 403, 413, 415, 422),
)
def create_key(body: ApiKeyRequest) -> tuple[dict[str, Any], int]:
    if not may_grant(g.key.scopes, body["scopes"]):
        raise HttpProblem(
            403, "forbidden", "only a key with the scope 'operator' gives out metrics and operator"
        )
    expires_at = body.get("expires_at")
    if expires_at is not None and expires_at <= now():
        # 422, not 400: no schema can tell a client which times have passed.
        why = "this time has passed, so the key would never work"
        entry = ErrorEntry(code="invalid_member", pointer="/expires_at", detail=why)
        raise HttpProblem(422, "invalid_member", f"/expires_at: {why}", errors=[entry])
    with service().database.write() as connection:
        identifier, secret = keys.create_key(
            connection,
            tenant=g.tenant,
            name=body["name"],
            scopes=body["scopes"],
            expires_at=expires_at,
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
    service().known_keys.forget()
    return "", 204
