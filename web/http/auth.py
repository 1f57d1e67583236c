"""Who asks: a bearer key, or the session cookie of a page."""

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import g, request, session
from sqlalchemy.exc import DBAPIError

from shared.access import keys
from shared.store.engine import Database
from shared.store.records import ApiKeyRecord
from web.http.problems import HttpProblem
from web.service import service

log = logging.getLogger(__name__)
_View = TypeVar("_View", bound=Callable[..., Any])
_REMEMBER_S = 3.0
_SAFE = {"GET", "HEAD", "OPTIONS"}
# By what was shown and how: a key's id, which a cookie vouches for, must never pass for its secret.
_known: dict[tuple[str, str], tuple[float, ApiKeyRecord]] = {}
_NOTE_EVERY_S = 60.0
_noting: set[str] = set()  # keys whose use is being noted now


def require(scope: str) -> Callable[[_View], _View]:
    """Let a view be called only with a live key that has this scope; sets g.key and g.tenant."""

    def guard(view: _View) -> _View:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            key = _bearer() or _cookie()
            if key is None:
                raise HttpProblem(401, "unauthorized", "send a live API key: Authorization: Bearer KEY")
            if scope not in key.scopes and "admin" not in key.scopes:
                raise HttpProblem(403, "forbidden", f"this key lacks the scope {scope!r}")
            g.key, g.tenant = key, key.tenant
            return view(*args, **kwargs)

        guarded.scope = scope  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return guard


def _bearer() -> ApiKeyRecord | None:
    header = request.headers.get("Authorization", "")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    return _remembered("secret", secret.strip(), find_live)


def find_live(secret: str) -> ApiKeyRecord | None:
    """The live key with this secret; its use is noted once a minute."""
    database = service().database
    with database.read() as connection:
        row = keys.find_key(connection, secret)
    if row is None or row.id in _noting:
        return row
    if row.last_used_at is None or row.last_used_at < time.time() - _NOTE_EVERY_S:
        _noting.add(row.id)
        threading.Thread(target=_note_use, args=(database, row.id), name="key-use", daemon=True).start()
    return row


def _note_use(database: Database, key_id: str) -> None:
    """In a thread of its own: while the database is locked, nobody who only reads may have to wait for this."""
    try:
        with database.write() as connection:
            keys.touch_key(connection, key_id)
    except DBAPIError as error:
        log.warning("the use of key %s is not noted: %s", key_id, error.orig)
    finally:
        _noting.discard(key_id)


def _cookie() -> ApiKeyRecord | None:
    key_id = session.get("key_id")
    if key_id is None:
        return None
    if request.method not in _SAFE and not same_origin():
        raise HttpProblem(403, "foreign_origin", "a page of another origin may not act with this session")
    return _remembered("id", key_id, _find_by_id)


def _find_by_id(key_id: str) -> ApiKeyRecord | None:
    with service().database.read() as connection:
        return keys.get_key(connection, key_id)


def same_origin() -> bool:
    """Whether the browser says that a page of this service sent the request."""
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == request.host


def _remembered(
    kind: str, credential: str, find: Callable[[str], ApiKeyRecord | None]
) -> ApiKeyRecord | None:
    """A poll a second by a thousand clients must not cost a query each: a key is looked up every few seconds."""
    at, row = _known.get((kind, credential), (0.0, None))
    if row is not None and time.monotonic() - at < _REMEMBER_S:
        return row
    row = find(credential)
    if row is None:
        _known.pop((kind, credential), None)
    else:
        if len(_known) > 10_000:
            _known.clear()
        _known[kind, credential] = (time.monotonic(), row)
    return row


def forget() -> None:
    """Look every key up anew, after one was revoked in this process."""
    _known.clear()
