"""API keys of a tenant: the caller's own, or the tenant that an operator names."""

from flask import Blueprint, g
from sqlalchemy import Connection

from shared.access import keys
from shared.clock import now, rfc3339
from shared.contract.keys import ApiKeyPayload, ApiKeyRequest, RotationRequest, key_payload
from shared.contract.pages import Page, page
from shared.contract.problems import ErrorEntry
from shared.contract.queries import KeysQuery
from shared.contract.scopes import may_grant
from shared.store.records import ApiKeyRecord
from web.http import auth, trail
from web.http.operations import operation
from web.http.problems import HttpProblem, not_found
from web.http.tenants import acting_tenant
from web.service import service

blueprint = Blueprint("api_keys", __name__)


@blueprint.get("/v1/api-keys")
@auth.require("admin")
@operation(
    "List the tenant's keys, expired ones too; their secrets are never shown again",
    {200: Page[ApiKeyPayload]},
    query=KeysQuery,
    problems=(403,),
)
def list_keys(query: KeysQuery) -> Page[ApiKeyPayload]:
    tenant = acting_tenant(query)
    with service().database.read() as connection:
        rows = keys.list_keys(connection, tenant)
    return page([key_payload(row) for row in rows], None)


@blueprint.post("/v1/api-keys")
@auth.require("admin")
@operation(
    "Make a key; its secret is shown in this answer and never again",
    {201: ApiKeyPayload},
    query=KeysQuery,
    body={"application/json": ApiKeyRequest},
    problems=(400, 403, 413, 415, 422),
)
def create_key(body: ApiKeyRequest, query: KeysQuery) -> tuple[ApiKeyPayload, int]:
    tenant, expires_at = acting_tenant(query), body.get("expires_at")
    _check_grant(body["scopes"])
    _check_to_come(expires_at)
    with service().database.write() as connection:
        identifier, secret = keys.create_key(
            connection, tenant=tenant, name=body["name"], scopes=body["scopes"], expires_at=expires_at
        )
        made = _made(connection, identifier)
        trail.note(connection, "key.create", made.id, tenant=tenant, name=made.name, scopes=made.scopes,
                   expires_at=rfc3339(expires_at))  # fmt: skip
    return key_payload(made, secret), 201


@blueprint.post("/v1/api-keys/<key_id>/rotate")
@auth.require("admin")
@operation(
    "Replace a key: the answer shows the secret of the new one, and the old one lives on for `grace` seconds",
    {201: ApiKeyPayload},
    query=KeysQuery,
    body={"application/json": RotationRequest},
    problems=(400, 403, 404, 409, 413, 415, 422),
)
def rotate_key(key_id: str, body: RotationRequest, query: KeysQuery) -> tuple[ApiKeyPayload, int]:
    tenant, grace_s = acting_tenant(query), body["grace"]
    with service().database.write() as connection:
        old = keys.get_key(connection, key_id, tenant)
        if old is None:
            raise not_found(f"key {key_id}")
        _check_grant(old.scopes)  # or an admin would get the secret of an operator's key
        expires_at = body["expires_at"] if "expires_at" in body else _as_long_again(old)
        _check_to_come(expires_at)
        identifier, secret = keys.rotate_key(connection, old, grace_s=grace_s, expires_at=expires_at)
        made = _made(connection, identifier)
        trail.note(connection, "key.rotate", old.id, tenant=old.tenant, replaced_by=made.id, grace=grace_s)
    service().known_keys.forget()
    return key_payload(made, secret), 201


@blueprint.delete("/v1/api-keys/<key_id>")
@auth.require("admin")
@operation("Revoke a key, and end its sessions", {204: None}, query=KeysQuery, problems=(403, 404))
def revoke_key(key_id: str, query: KeysQuery) -> tuple[str, int]:
    tenant = acting_tenant(query)
    with service().database.write() as connection:
        found = keys.get_key(connection, key_id, tenant, expired=True)
        if found is None or not keys.revoke_key(connection, tenant, key_id):
            raise not_found(f"key {key_id}")
        _check_grant(found.scopes)
        trail.note(connection, "key.revoke", key_id, tenant=found.tenant)
    service().known_keys.forget()
    return "", 204


def _check_grant(scopes: list[str]) -> None:
    """Raise 403 where the caller may not deal in keys with these scopes."""
    if not may_grant(g.key.scopes, scopes):
        raise HttpProblem(
            403, "forbidden", "only a key with the scope 'operator' deals in keys with metrics or operator"
        )


def _check_to_come(expires_at: float | None) -> None:
    if expires_at is not None and expires_at <= now():
        # 422, not 400: no schema can tell a client which times have passed.
        why = "this time has passed, so the key would never work"
        entry = ErrorEntry(code="invalid_member", pointer="/expires_at", detail=why)
        raise HttpProblem(422, "invalid_member", f"/expires_at: {why}", errors=[entry])


def _as_long_again(old: ApiKeyRecord) -> float | None:
    return None if old.expires_at is None else now() + old.expires_at - old.created_at


def _made(connection: Connection, key_id: str) -> ApiKeyRecord:
    made = keys.get_key(connection, key_id, expired=True)
    assert made is not None
    return made
