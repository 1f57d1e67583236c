"""Request and answer headers that several views use."""

import re

from flask import Request

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_TRACEPARENT_LENGTH = 55


def base_url(request: Request) -> str:
    """The service's URL as the client sees it (web/server/front.py), without a slash at its end."""
    return request.url_root.rstrip("/")


def traceparent(request: Request) -> str | None:
    """The W3C trace context of the request, at most 55 characters; a malformed one counts as absent, as W3C asks."""
    given = request.headers.get("traceparent", "")
    return given[:_TRACEPARENT_LENGTH] if _TRACEPARENT.fullmatch(given) else None


def knows(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this entity tag: weak comparison, lists and `*`, as RFC 9110 has it."""
    known = request.if_none_match
    return known.star_tag or known.contains_weak(tag)
