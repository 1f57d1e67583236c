"""Identifies the caller: a bearer key, or the session cookie of a page."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import g, request, session

from shared.contract.scopes import allows
from shared.store.records import ApiKeyRecord
from web.http.problems import HttpProblem
from web.server.front import HOST_SENT
from web.service import service

_View = TypeVar("_View", bound=Callable[..., Any])
_SAFE = {"GET", "HEAD", "OPTIONS"}
_FOREIGN = "a page of another origin may not"
_BEHIND_A_PROXY = " (behind a proxy, the operator sets GONOGO_PUBLIC_URL)"


def require(scope: str, *, unless: str | None = None) -> Callable[[_View], _View]:
    """Let a view be called only with a live key that has this scope; sets g.key and g.tenant.

    A request with `unless` in its environ needs no key: it came by an address that serves this view alone.
    """

    def guard(view: _View) -> _View:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if unless is None or unless not in request.environ:
                admit(scope)
            return view(*args, **kwargs)

        guarded.scope = scope  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return guard


def admit(scope: str) -> None:
    """Set g.key and g.tenant for a live key with this scope; raises 401 or 403."""
    key = _bearer() or _cookie()
    if key is None:
        raise HttpProblem(401, "unauthorized", "send a live API key: Authorization: Bearer KEY")
    if not may(key, scope):
        raise HttpProblem(403, "forbidden", f"this key lacks the scope {scope!r}")
    g.key, g.tenant = key, key.tenant


def may(key: ApiKeyRecord, scope: str) -> bool:
    """Whether the key has the scope, or one that includes it."""
    return allows(key.scopes, scope)


def _bearer() -> ApiKeyRecord | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return service().known_keys.by_secret(secret.strip()) if scheme.lower() == "bearer" else None


def _cookie() -> ApiKeyRecord | None:
    key_id = session.get("key_id")
    if key_id is None:
        return None
    if request.method not in _SAFE and not same_origin():
        raise HttpProblem(403, "foreign_origin", f"{_FOREIGN} act with this session{_BEHIND_A_PROXY}")
    return service().known_keys.by_id(key_id)


def sign_in(secret: str) -> ApiKeyRecord:
    """Begin a session with a key's secret; raises 401, or 403 for a page of another origin.

    Such a page could otherwise let its reader work, unaware, in a tenant of the page's choice.
    """
    if "Origin" in request.headers and not same_origin():
        raise HttpProblem(403, "foreign_origin", f"{_FOREIGN} begin a session{_BEHIND_A_PROXY}")
    key = service().known_keys.find_live(secret.strip())
    if key is None:
        raise HttpProblem(401, "unauthorized", "this is no live API key")
    session.clear()
    session["key_id"] = key.id
    session.permanent = True
    return key


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
