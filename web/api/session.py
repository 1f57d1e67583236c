"""The session of a page: a key is exchanged for a cookie, so that scripts of the page never hold the key."""

from flask import Blueprint

from shared.contract.sessions import SessionPayload, SessionRequest
from web.http import auth
from web.http.operations import operation

blueprint = Blueprint("session", __name__)


@blueprint.post("/v1/session")
@operation(
    "Exchange a key for a session cookie",
    {200: SessionPayload},
    body={"application/json": SessionRequest, "application/x-www-form-urlencoded": SessionRequest},
    problems=(400, 401, 403, 413, 415, 429),
)
def create_session(body: SessionRequest) -> SessionPayload:
    key = auth.sign_in(body["key"])
    return {"object": "session", "tenant": key.tenant, "scopes": key.scopes}


@blueprint.delete("/v1/session")
@operation("End the session; a copy of its cookie is refused from then on", {204: None}, problems=(403,))
def delete_session() -> tuple[str, int]:
    auth.sign_out()
    return "", 204
