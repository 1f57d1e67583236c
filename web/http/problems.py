"""Errors as RFC 9457 problems, and the one table from exception to status and code."""

import logging
import re
from typing import Any

from flask import Flask, Response, g, json, request
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from werkzeug.exceptions import HTTPException

from shared.access.keys import AlreadyReplaced, InvalidTenant, UnknownScope
from shared.blobs import disk
from shared.contract.operating_point import InvalidOperatingPoint
from shared.contract.problems import ErrorEntry, Problem
from shared.errors import GonogoError, Unavailable
from shared.lifecycle.reviews import ClaimedByOther, NotReviewable
from shared.lifecycle.uploads import UploadLost
from shared.registry.activations import NeverActive
from shared.registry.versions import InvalidModelName, ModelNotReady, UnknownModel
from shared.store.engine import is_away
from shared.webhooks.addresses import ForbiddenAddress
from shared.webhooks.endpoints import TooManyEndpoints, TooManySecrets
from web.server.bodies import BodyTooSlow

log = logging.getLogger(__name__)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # libraries show objects so: `<_io.BytesIO object at 0x7f…>`

_STATUS: dict[type[GonogoError], int] = {
    AlreadyReplaced: 409,
    BodyTooSlow: 408,
    ClaimedByOther: 409,
    NotReviewable: 409,
    InvalidOperatingPoint: 422,
    InvalidModelName: 422,
    InvalidTenant: 422,
    ModelNotReady: 409,
    NeverActive: 409,
    UnknownModel: 422,
    UnknownScope: 422,
    Unavailable: 503,
    TooManyEndpoints: 409,
    TooManySecrets: 409,
    ForbiddenAddress: 422,
    UploadLost: 409,
}
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    411: "length_required",
    413: "request_too_large",
    415: "unsupported_media_type",
}
_DETAILS = {
    400: "the request can't be read",
    404: "there is nothing at this path: /openapi.json lists the paths",
    405: "the path does not take this method: Allow names those that it takes",
    413: "the body is larger than this path takes",
    415: "the path does not take this Content-Type",
}


class HttpProblem(Exception):
    """An answer that is an error: status, stable code, and a sentence for a person."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: list[ErrorEntry] | None = None,
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.retry_after_s = errors, retry_after_s
        self.headers = headers or {}


def not_found(what: str) -> HttpProblem:
    """404, the same for what does not exist and what belongs to another tenant."""
    return HttpProblem(404, "not_found", f"there is no {what}")


def respond(problem: HttpProblem) -> Response:
    """The problem document."""
    body: Problem = {
        "type": f"{request.script_root}/docs/errors/{problem.code}",
        "title": problem.code.replace("_", " "),
        "status": problem.status,
        "detail": _ADDRESS.sub("", problem.detail),
        "instance": request.script_root + request.path,
        "code": problem.code,
        "request_id": g.get("request_id", ""),
    }
    if problem.errors or problem.status in (400, 422):
        # An entry without a pointer is about the request as a whole.
        whole = ErrorEntry(code=problem.code, pointer="", detail=body["detail"])
        body["errors"] = [{**whole, **entry} for entry in problem.errors or [whole]]
    response = Response(json.dumps(body), problem.status, content_type="application/problem+json")
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    response.headers.update(problem.headers)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def as_problem(error: Exception) -> HttpProblem:
    """The problem that an exception is for the client."""
    if disk.is_full(error):
        error = disk.full()
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, Unavailable):
        return HttpProblem(503, error.code, error.detail, retry_after_s=error.retry_after_s)
    if isinstance(error, GonogoError):
        errors: list[ErrorEntry] | None = None
        if error.pointer is not None:
            errors = [{"code": error.code, "pointer": error.pointer, "detail": error.detail}]
        return HttpProblem(_STATUS.get(type(error), 400), error.code, error.detail, errors=errors)
    if isinstance(error, HTTPException):
        status = error.code or 500
        allowed = getattr(error, "valid_methods", None)
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        detail = error.description or ""
        if detail == type(error).description:  # written for the person at a browser
            detail = _DETAILS.get(status, detail)
        return HttpProblem(status, CODES.get(status, "http_error"), detail, headers=headers)
    if (problem := _of_the_database(error)) is not None:
        return problem
    log.exception("unexpected error in %s %s", request.method, request.path, exc_info=error)
    return HttpProblem(500, "internal_error", "something unexpected went wrong; it has been logged")


def _repeated_id() -> HttpProblem:
    """Lines of a manifest are compared as it is read; the ids of frames are known once their image has come."""
    why = "a custom_id is that of a frame too: the frames of a split image have `#1`, `#2` and so on behind theirs"
    entry = ErrorEntry(code="duplicate_custom_id", pointer="/manifest", detail=why)
    return HttpProblem(422, "duplicate_custom_id", why, errors=[entry])


def _of_the_database(error: Exception) -> HttpProblem | None:
    """The problem of an error of the database that the request or the time brought about; None for another error."""
    if isinstance(error, DataError | UnicodeEncodeError):  # a NUL, or half a surrogate pair: no text anywhere
        return HttpProblem(400, "bad_request", "the request holds a value that can't be looked up or stored")
    if isinstance(error, IntegrityError) and "custom_id" in str(error.orig):
        return _repeated_id()
    if isinstance(error, DBAPIError) and is_away(error):
        log.warning("%s %s: the database can't answer: %s", request.method, request.path, error.orig)
        return HttpProblem(503, "database_unavailable", "the database can't answer now", retry_after_s=5)
    return None


def install(app: Flask) -> None:
    """Answer every error of the application as a problem."""

    def handle(error: Exception) -> Any:
        return respond(as_problem(error))

    app.register_error_handler(Exception, handle)
