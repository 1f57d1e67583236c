"""The caller of a request, for functions below the views."""

import hashlib
from typing import NamedTuple

from flask import g, request

from shared.access.audit import Actor
from web.http import cookies, trail


class Caller(NamedTuple):
    """A key of a tenant, and its actor in the audit trail.

    `session` is the claim of the browser, where a page acts: it holds one item of the review queue at a time.
    """

    tenant: str
    key_id: str
    name: str
    actor: Actor
    session: str | None


def caller() -> Caller:
    """The caller that this request was admitted as."""
    token = None if "Authorization" in request.headers else cookies.token(request)
    session = None if token is None else claim_of_session(token)
    return Caller(g.tenant, g.key.id, g.key.name, trail.actor(), session)


def claim_of_session(token: str) -> str:
    """The claim of the browser with this cookie."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def holder_of(key_id: str, claim: str) -> str:
    """The holder of an entry of the review queue: a claim serves the key alone that took it."""
    return f"{key_id}:{claim}"
