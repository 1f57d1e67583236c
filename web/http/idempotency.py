"""The Idempotency-Key of a request: read, held against the content of a JSON body, or refused."""

import hashlib
import json
from collections.abc import Mapping

from flask import Request

from shared.contract.problems import ErrorEntry
from web.http.problems import HttpProblem

HEADER = "Idempotency-Key"
_LONGEST = 255


def key_of(request: Request) -> str | None:
    """The request's key; raises 400 for an empty or too long one."""
    key = request.headers.get(HEADER)
    check(key)
    return key


def refuse(request: Request) -> None:
    """Raise 400 where a request has a key on a path that could not keep its promise."""
    if HEADER in request.headers:
        detail = "this path takes no Idempotency-Key: look for the effect of the first request, then repeat it without"
        raise _key_refused(400, "idempotency_key_not_taken", detail)


def check(key: str | None) -> None:
    """Raise 400 for an empty or too long key."""
    if key is not None and not 1 <= len(key) <= _LONGEST:
        raise _key_refused(400, "invalid_idempotency_key", "Idempotency-Key has 1 to 255 characters")


def fingerprint(body: Mapping[str, object]) -> str:
    """The same for two bodies with the same members, in any order."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def reused() -> HttpProblem:
    """The key has been used with other content."""
    return _key_refused(422, "idempotency_key_reused", "this Idempotency-Key was used with other content")


def batch_deleted(batch_id: str) -> HttpProblem:
    """410: the first answer names a batch that is there no more."""
    detail = f"this Idempotency-Key made {batch_id}, which was deleted: a new key judges the images again"
    return _key_refused(410, "batch_deleted", detail)


def _key_refused(status: int, code: str, detail: str) -> HttpProblem:
    entry = ErrorEntry(code=code, pointer=f"/header/{HEADER}", detail=detail)
    return HttpProblem(status, code, detail, errors=[entry])
