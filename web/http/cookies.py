"""The cookie of a session: its name, and how an answer gives it and takes it back.

Under TLS the name begins with `__Host-`: a browser accepts such a cookie only with `Secure`, for the whole host and
from the host itself, so that neither a page without TLS nor a neighbouring subdomain can plant one.
"""

from typing import Any

from flask import Request, Response

PLAIN, SECURE = "gonogo", "__Host-gonogo"


def name(request: Request) -> str:
    """The name of the cookie by the scheme of the request; the cookie of the other scheme is not read."""
    return SECURE if request.is_secure else PLAIN


def token(request: Request) -> str | None:
    """The token that the browser sent, if any."""
    return request.cookies.get(name(request)) or None


def give(response: Response, request: Request, value: str, lasts_s: float) -> None:
    """Let the browser keep a token for `lasts_s` seconds, out of reach of scripts and of other sites' pages."""
    response.set_cookie(name(request), value, max_age=round(lasts_s), **_attributes(request))


def take(response: Response, request: Request) -> None:
    """Let the browser forget the token."""
    response.delete_cookie(name(request), **_attributes(request))


def _attributes(request: Request) -> dict[str, Any]:
    return {"path": "/", "httponly": True, "samesite": "Strict", "secure": request.is_secure}
