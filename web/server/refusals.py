"""Answers that the server gives without the application: the same problem documents (RFC 9457)."""

import json
import uuid

from web.live.waits import FACTS
from web.server.answers import Answer
from web.server.asgi import Scope


class Refusal(Exception):
    """A request that the server does not pass on: status, stable code, and a sentence for a person."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry_after_s = status, code, detail, retry_after_s


def problem_body(status: int, code: str, detail: str, path: str, request_id: str, root: str = "") -> bytes:
    """The problem document; `root` is the prefix of every path (front.py)."""
    # Refused before the application sees it, for a fault of the request as a whole.
    errors = [{"code": code, "pointer": "", "detail": detail}] if status == 400 else []
    return json.dumps(
        {
            "type": f"{root}/docs/errors/{code}",
            "title": code.replace("_", " "),
            "status": status,
            "detail": detail,
            "instance": root + path,
            "code": code,
            "request_id": request_id,
            **({"errors": errors} if errors else {}),
        }
    ).encode()


def refuse(refusal: Refusal, scope: Scope) -> Answer:
    """The answer to a refused request. The connection stays open for a while (connection.py): closing it with unread
    bytes of the body would reset it, and the client could lose this answer."""
    request_id = scope.get(FACTS, {}).setdefault("request_id", uuid.uuid4().hex)
    root = scope.get("root_path", "")
    body = problem_body(refusal.status, refusal.code, refusal.detail, scope["path"], request_id, root)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    return Answer(refusal.status, headers, [body])
