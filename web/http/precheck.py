"""Refusals that need no body, so that a client need not send one: unknown paths, missing keys, sizes, media types."""

from fnmatch import fnmatch

from flask import Flask, Response, current_app, request

from web.http import auth
from web.http.problems import HttpProblem
from web.live.waits import PASSED, PRECHECK
from web.service import service


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
        _check_media_type(list(operation.body))
    request.environ[PASSED] = True
    return Response(status=204)


def _check_size() -> None:
    most = service().settings.max_request_bytes
    if (request.content_length or 0) > most:
        raise HttpProblem(413, "request_too_large", f"a request may have {most} bytes")


def _check_media_type(accepted: list[str]) -> None:
    if not any(fnmatch(request.mimetype, pattern) for pattern in accepted):
        raise HttpProblem(415, "unsupported_media_type", f"send {' or '.join(accepted)}")
