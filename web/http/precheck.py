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

_WRITE_CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")


def install(app: Flask) -> None:
    """Check each request before its view runs."""
    app.before_request(_check)


def _check() -> Response | None:
    """Refuse a coded body and a conditional write; and where the server asks (web/server), judge the request by its
    headers alone."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise HttpProblem(
            415, "unsupported_media_type", f"Content-Encoding {coding!r} is not read: send plain bytes"
        )
    _refuse_conditional_write()
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


def _refuse_conditional_write() -> None:
    """RFC 9110 forbids a write whose condition is not met, and no path here compares one."""
    if request.method not in ("POST", "PUT", "PATCH", "DELETE") or request.routing_exception is not None:
        return
    sent = [name for name in _WRITE_CONDITIONS if name in request.headers]
    if sent == ["If-Match"] and request.headers["If-Match"].strip() == "*":
        return  # met by whatever is there, and what is not there is 404
    if sent:
        raise HttpProblem(
            412,
            "precondition_unsupported",
            f"{sent[0]} is not compared on a write, so nothing was done: send the request without it",
        )


def _check_size() -> None:
    most = _MOST.get(request.mimetype, service().settings.max_request_bytes)
    if (request.content_length or 0) > most:
        raise HttpProblem(413, "request_too_large", f"a request of this Content-Type may have {most} bytes")


def check_media_type(accepted: Iterable[str]) -> None:
    """Raise 415 where the request's Content-Type is none of these patterns."""
    if not any(fnmatch(request.mimetype, pattern) for pattern in accepted):
        raise HttpProblem(415, "unsupported_media_type", f"send {' or '.join(accepted)}")
