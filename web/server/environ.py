"""From an ASGI scope to a WSGI environ (PEP 3333)."""

import sys
from urllib.parse import quote
from wsgiref.types import WSGIEnvironment

from web.live.waits import FACTS
from web.server.asgi import Scope
from web.server.front import HOST_SENT

KEYLESS = "gonogo.keyless"  # set by the server alone: a header becomes HTTP_…


def environ_of(scope: Scope, body: object) -> WSGIEnvironment:
    """The environ of one request. `body` becomes `wsgi.input`: it ends by itself, whatever Content-Length says."""
    host, port = scope["server"] or ("localhost", 80)
    client = scope["client"] or ("", 0)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", ""),
        "PATH_INFO": scope["path"].encode("utf-8", "surrogatepass").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REQUEST_URI": _request_uri(scope),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        HOST_SENT: scope.get(HOST_SENT),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        FACTS: scope.get(FACTS, {}),
    }
    if KEYLESS in scope:
        environ[KEYLESS] = True
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        # A header that comes twice is one list (RFC 9110, 5.3); cookies are joined by a semicolon.
        if key in environ:
            text = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        environ[key] = text
    return environ


def _request_uri(scope: Scope) -> str:
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("latin-1")
