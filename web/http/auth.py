"""Identifies the caller: a bearer key, or the session cookie of a page."""

import functools
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Response, after_this_request, g, request
from sqlalchemy import Connection

from shared.access import audit, sessions
from shared.contract.scopes import allows
from shared.lifecycle import review_queue
from shared.store.records import ApiKeyRecord
from web.http import cookies, trail
from web.http.callers import claim_of_session, holder_of
from web.http.problems import HttpProblem
from web.http.rate_limits import count_request, count_wrong_key
from web.live.waits import FACTS
from web.server.front import HOST_SENT
from web.service import service

_View = TypeVar("_View", bound=Callable[..., object])
_SAFE = {"GET", "HEAD", "OPTIONS"}
_FOREIGN = "a page of another origin may not"
_BEHIND_A_PROXY = " (behind a proxy, the operator sets GONOGO_PUBLIC_URL)"


def require(scope: str, *, unless: str | None = None) -> Callable[[_View], _View]:
    """Let a view be called only with a live key that has this scope; sets g.key and g.tenant.

    A request with `unless` in its environ needs no key: it came by an address that serves this view alone.
    """

    def guard(view: _View) -> _View:
        @functools.wraps(view)
        def guarded(*args: object, **kwargs: object) -> object:
            if unless is None or unless not in request.environ:
                admit(scope)
            return view(*args, **kwargs)

        guarded.scope = scope  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return guard


def admit(scope: str) -> None:
    """Set g.key and g.tenant for a live key with this scope; raises 401, 403, or 429 for its rate limit."""
    key = _bearer() or _cookie()
    if key is None:
        raise HttpProblem(401, "unauthorized", "send a live API key: Authorization: Bearer KEY")
    g.key, g.tenant = key, key.tenant  # before any refusal: the access log names the key of that too
    count_request(service().rate_limits, key.id, request.environ.setdefault(FACTS, {}))
    if not may(key, scope):
        raise HttpProblem(403, "forbidden", f"this key lacks the scope {scope!r}")


def may(key: ApiKeyRecord, scope: str) -> bool:
    """Whether the key has the scope, or one that includes it."""
    return allows(key.scopes, scope)


def lasting(scope: str) -> Callable[[], bool]:
    """A function that says whether the caller may still do what it was admitted for: for an answer that takes long."""
    known, secret, token = service().known_keys, _secret(), cookies.token(request)

    def may_go_on() -> bool:
        key = known.by_secret(secret) if secret is not None else known.by_session(token or "")
        return key is not None and may(key, scope)

    return may_go_on


def _secret() -> str | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def _bearer() -> ApiKeyRecord | None:
    secret = _secret()
    if secret is None:
        return None
    key = service().known_keys.by_secret(secret)
    if key is None:
        _refuse(secret)
    return key


def _refuse(secret: str) -> None:
    """Note a wrong key; raises 429 if too many came from its address."""
    here = service()
    here.refused_keys.note(secret, trail.actor())
    count_wrong_key(here.rate_limits, request.remote_addr, request.environ.setdefault(FACTS, {}))


def _cookie() -> ApiKeyRecord | None:
    token = cookies.token(request)
    if token is None:
        return None
    _check_origin("act with this session")
    return service().known_keys.by_session(token)


def sign_in(secret: str) -> ApiKeyRecord:
    """Begin a session with a key's secret, in place of the browser's former one; raises 401, 403 for a page of
    another origin, or 429.

    Such a page could otherwise let its reader work, unaware, in a tenant of the page's choice.
    """
    here, secret = service(), secret.strip()
    if "Origin" in request.headers:
        _check_origin("begin a session")
    key = here.known_keys.find_live(secret)
    if key is None:
        _refuse(secret)
        raise HttpProblem(401, "unauthorized", "this is no live API key")
    count_request(here.rate_limits, key.id, request.environ.setdefault(FACTS, {}))
    former, lasts_s = cookies.token(request), here.settings.session_s
    with here.database.write() as connection:
        if former is not None:
            _end(connection, former)
        session_id, token = sessions.begin(connection, key.id, lasts_s)
        who = trail.actor(key.id)
        audit.append(connection, who, "session.begin", tenant=key.tenant, object_id=session_id)

    @after_this_request
    def give(response: Response) -> Response:
        cookies.give(response, request, token, lasts_s)
        return response

    return key


def sign_out() -> None:
    """End the session of the cookie, if there is one; raises 403 for a page of another origin."""
    token = cookies.token(request)
    if token is None:
        return
    _check_origin("end this session")
    with service().database.write() as connection:
        ended = _end(connection, token)
        if ended is not None:
            who = trail.actor(ended.key_id)
            audit.append(connection, who, "session.end", tenant=ended.tenant, object_id=ended.id)

    @after_this_request
    def take(response: Response) -> Response:
        cookies.take(response, request)
        return response


def _end(connection: Connection, token: str) -> sessions.Ended | None:
    """End a session; the item of the review queue that its browser holds is free for others at once."""
    ended = sessions.end(connection, token)
    if ended is not None:
        review_queue.let_go(connection, holder_of(ended.key_id, claim_of_session(token)))
    return ended


def _check_origin(deed: str) -> None:
    """Raise 403 where a page of another origin may have sent a request that changes something."""
    if request.method not in _SAFE and not same_origin():
        raise HttpProblem(403, "foreign_origin", f"{_FOREIGN} {deed}{_BEHIND_A_PROXY}")


def same_origin() -> bool:
    """Whether the browser says that a page of this service sent the request.

    A page cannot forge either header. `Sec-Fetch-Site` compares with the address in the browser, so that no proxy in
    front can come between; browsers send it over https and to this machine. Else the page's host must be ours, as the
    client sees it or as the request names it.
    """
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return True
    page = urlsplit(request.headers.get("Origin", "")).netloc
    return bool(page) and page in (request.host, request.environ.get(HOST_SENT))
