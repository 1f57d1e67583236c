"""How a request is framed, by its headers: its length, its codings, and what it expects."""

import re
from collections import defaultdict

from web.server.asgi import Scope
from web.server.refusals import Refusal

# Names in links are those that the request asked for: a host with `<` or a space would go into answers.
HOST = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_FRAMING = {b"host", b"transfer-encoding", b"content-encoding", b"expect"}


def check_framing(scope: Scope) -> None:
    """Refuse a request that two servers in a row could read in two ways, or that asks for what we do not do."""
    fields = defaultdict[bytes, list[bytes]](list)
    for name, value in scope["headers"]:
        if name in _FRAMING:
            fields[name].append(value.strip().lower())
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Refusal(400, "bad_request", "speak HTTP/1.1 or HTTP/1.0")
    if len(fields[b"host"]) != 1 and not (scope["http_version"] == "1.0" and not fields[b"host"]):
        raise Refusal(400, "bad_request", "a request has one Host header")
    if any(host and not HOST.fullmatch(host.decode("latin-1")) for host in fields[b"host"]):
        raise Refusal(400, "bad_request", "Host is a name or an address, and perhaps a port")
    if fields[b"transfer-encoding"] not in ([], [b"chunked"]):
        raise Refusal(400, "bad_request", "the only Transfer-Encoding is chunked")
    if any(value not in (b"", b"identity") for value in fields[b"content-encoding"]):
        raise Refusal(415, "unsupported_media_type", "send the body without a Content-Encoding")
    if any(value != b"100-continue" for value in fields[b"expect"]):
        raise Refusal(417, "http_error", "the only Expect is 100-continue")


def content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
    return None


def expects_continue(scope: Scope) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
