"""The metrics address: a second listener of the web process, for a scraper that has no key.

It is the same server with the same deadlines, so a slow scraper holds no thread.
"""

from web.server.asgi import App, Receive, Scope, Send
from web.server.environ import KEYLESS
from web.server.refusals import Refusal, refuse

PATH = "/metrics"


class MetricsAddress:
    """An ASGI application: a request to `port` gets /metrics without a key or 404, any other goes on to `app`."""

    def __init__(self, app: App, port: int) -> None:
        self._app, self._port = app, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The address of the socket: no header can change it.
        _, port = scope["server"]
        if port != self._port:
            await self._app(scope, receive, send)
        elif scope["path"] == PATH:
            scope[KEYLESS] = True  # in place: the access log reads the scope afterwards
            await self._app(scope, receive, send)
        else:
            answer = refuse(Refusal(404, "not_found", f"this address serves {PATH} alone"), scope)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": b"".join(answer.body)})
