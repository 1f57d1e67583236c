"""The session of a page: a key is exchanged for a cookie, so that scripts of the page never hold it."""

from typing import Any

from flask import Blueprint, request, session

from shared.contract.sessions import SessionPayload
from shared.store.records import ApiKeyRecord
from web.http import auth
from web.http.problems import HttpProblem
from web.openapi import request_bodies
from web.openapi.operations import operation

blueprint = Blueprint("session", __name__)


@blueprint.post("/v1/session")
@operation(
    "Exchange a key for a session cookie",
    {200: SessionPayload},
    body={
        "application/json": request_bodies.SessionRequest,
        "application/x-www-form-urlencoded": request_bodies.SessionRequest,
    },
    problems=(401, 403),
)
def create_session() -> dict[str, Any]:
    asked: Any = request.get_json(silent=True) if request.is_json else request.form
    key = sign_in(asked.get("key") if hasattr(asked, "get") else None)
    return {"object": "session", "tenant": key.tenant, "scopes": key.scopes}


def sign_in(secret: Any) -> ApiKeyRecord:
    """Begin a session with a key's secret; raises 401, or 403 where a foreign page tries it: it would have its
    reader work, unaware, in a tenant of its choice."""
    if "Origin" in request.headers and not auth.same_origin():
        raise HttpProblem(403, "foreign_origin", "a page of another origin may not begin a session")
    key = auth.find_live(secret.strip()) if isinstance(secret, str) else None
    if key is None:
        raise HttpProblem(401, "unauthorized", "this is no live API key")
    session.clear()
    session["key_id"] = key.id
    session.permanent = True
    return key


@blueprint.delete("/v1/session")
@operation("End the session", {204: None})
def delete_session() -> tuple[str, int]:
    session.clear()
    return "", 204
