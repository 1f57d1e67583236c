"""The caller of a request, for functions below the views."""

import hashlib
from typing import NamedTuple

from flask import g, request

from shared.access.audit import Actor
from web.http import cookies, trail


class Caller(NamedTuple):
    """A key of a tenant, and its actor in the audit trail. `session` names the browser, where a page acts."""

    tenant: str
    key_id: str
    name: str
    actor: Actor
    session: str | None


def caller() -> Caller:
    """The caller that this request was admitted as."""
    token = None if "Authorization" in request.headers else cookies.token(request)
    session = None if token is None else f"{g.key.id}:{hashlib.sha256(token.encode()).hexdigest()[:16]}"
    return Caller(g.tenant, g.key.id, g.key.name, trail.actor(), session)
