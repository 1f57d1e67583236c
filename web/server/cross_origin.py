"""Pages of other origins: the ones that GONOGO_CORS_ORIGINS names may call the API with a key (the Fetch standard).

An ASGI layer, so that the server's own refusals can be read by such a page too. A session's cookie does not count for
another origin: no answer allows credentials.
"""

from web.server.asgi import App, Message, Receive, Scope, Send

# Request headers of the API. `Accept` and the like need no leave.
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Filename",
    "X-Request-Id",
    "traceparent",
)
ANSWER_HEADERS = (
    "Allow",
    "Content-Disposition",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Incomplete",
    "X-Request-Id",
    "X-Revision",
)
_PREFLIGHT_S = 600  # for which a browser keeps the answer to a preflight


class CrossOrigin:
    """An ASGI application that lets pages of these origins read the answers of `app`."""

    def __init__(self, app: App, origins: frozenset[str]) -> None:
        self._app, self._origins = app, {origin.encode() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = dict(scope["headers"])
        origin = asked.get(b"origin")
        is_preflight = scope["method"] == "OPTIONS" and b"access-control-request-method" in asked

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"vary", b"Origin")]
                if origin in self._origins:
                    headers += [(b"access-control-allow-origin", origin), *_leave(headers, is_preflight)]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, marked)


def _leave(headers: list[tuple[bytes, bytes]], is_preflight: bool) -> list[tuple[bytes, bytes]]:
    """The methods and headers that the page may send, or the headers that it may read."""
    if not is_preflight:
        return [(b"access-control-expose-headers", ", ".join(ANSWER_HEADERS).encode())]
    allowed = next((value for name, value in headers if name.lower() == b"allow"), b"")
    return [
        (b"access-control-allow-methods", allowed),
        (b"access-control-allow-headers", ", ".join(REQUEST_HEADERS).encode()),
        (b"access-control-max-age", str(_PREFLIGHT_S).encode()),
    ]
