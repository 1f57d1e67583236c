"""Refusals that need no body, so that a client need not send one: unknown paths, missing keys, sizes, media types."""

from collections.abc import Iterable
from fnmatch import fnmatch

from flask import Flask, Response, current_app, request

from shared import json_text
from shared.contract.manifests import MAX_MANIFEST_BYTES
from web.http import auth
from web.http.problems import HttpProblem
from web.live.waits import PASSED, PRECHECK
from web.service import service

# The views have these bounds too: the length of a chunked body is not known here.
_MOST = {
    "application/json": json_text.MAX_BYTES,
    "text/csv": MAX_MANIFEST_BYTES,
    "application/x-ndjson": MAX_MANIFEST_BYTES,
}


def install(app: Flask) -> None:
    """Check each request before its view runs."""
    app.before_request(_check)


def _check() -> Response | None:
    """Refuse a coded body; and where the server asks (web/server), judge the request by its headers alone."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise HttpProblem(
            415, "unsupported_media_type", f"Content-Encoding {coding!r} is not read: send plain bytes"
        )
    if not request.environ.pop(PRECHECK, False):
        return None
    if request.routing_exception is not None:
        raise request.routing_exception
    view = current_app.view_functions[str(request.endpoint)]
    if scope := getattr(view, "scope", None):
        auth.admit(scope)
    _check_size()
    operation = getattr(view, "operation", None)
    if operation is not None and operation.body:
        check_media_type(list(operation.body))
    request.environ[PASSED] = True
    return Response(status=204)


def _check_size() -> None:
    most = _MOST.get(request.mimetype, service().settings.max_request_bytes)
    if (request.content_length or 0) > most:
        raise HttpProblem(413, "request_too_large", f"a request of this Content-Type may have {most} bytes")


def check_media_type(accepted: Iterable[str]) -> None:
    """Raise 415 where the request's Content-Type is none of these patterns."""
    if not any(fnmatch(request.mimetype, pattern) for pattern in accepted):
        raise HttpProblem(415, "unsupported_media_type", f"send {' or '.join(accepted)}")
