"""An HTTP POST to a host that somebody else chose: bounded in time and in bytes, and never redirected."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from shared.errors import GonogoError
from worker.webhooks import outbound

_READ_BYTES = 64 * 1024
_KEPT_BYTES = 500


@dataclass(slots=True)
class Answer:
    """The outcome of a try: the status where there was one, the first bytes, and why it was no success."""

    status: int | None = None
    kept: bytes = b""
    error: str | None = None
    retry_after: str | None = None
    latency_ms: float = 0.0

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(url: str, headers: Mapping[str, str], body: bytes, *, allowed: str, timeout_s: float) -> Answer:
    """Post once. An error on the way becomes part of the answer: a receiver's fault ends no task."""
    answer, started = Answer(), time.monotonic()
    try:
        target, stream = outbound.connect(url, allowed=allowed, timeout_s=timeout_s, most=_READ_BYTES)
        with closing(stream):
            sent = {
                "host": target.authority,
                **headers,
                "content-length": str(len(body)),
                "connection": "close",
            }
            lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
            stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + body)
            _read(stream, answer)
    except TimeoutError:
        answer.error = f"no answer within {timeout_s:g} s in all"
    except (OSError, HTTPException, GonogoError, ValueError) as error:
        answer.error = f"{type(error).__name__}: {error}"
    answer.latency_ms = (time.monotonic() - started) * 1000
    return answer


def _read(stream: outbound.Stream, answer: Answer) -> None:
    """Read status and first bytes. The status decides, even if the body is slow, breaks off or has no end."""
    response = HTTPResponse(stream, method="POST")  # type: ignore[arg-type]
    with closing(response):
        response.begin()
        answer.status = response.status
        answer.retry_after = response.getheader("retry-after")
        if 300 <= response.status < 400:
            answer.error = (
                f"redirects are not followed ({response.status} to {response.getheader('location')})"
            )
        elif not answer.is_success:
            answer.error = f"the receiver answered {response.status}"
        try:
            while part := response.read1(_READ_BYTES):
                answer.kept += part[: _KEPT_BYTES - len(answer.kept)]
        except (OSError, HTTPException, ValueError):
            return


def visible(data: bytes) -> str:
    """The bytes as text, with characters escaped that a terminal, a page or a database cannot show."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
