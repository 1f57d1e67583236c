"""The client's wire on urllib3: one kept connection, errors by type, and tries that end.

A call is tried again when the service says so (429, 503, or 409 while the same submission is running, each
with Retry-After) and when the connection breaks, unless the repeated call could act twice. urllib3's own retries
are off: they count tries, while a caller of ours states how many seconds all tries together may take.
"""

import contextlib
import itertools
import json
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util import wait_for_read

from shared.client.errors import ApiError, ResultsCut, Unreachable, read_problem
from shared.client.multipart import Multipart

Progress = Callable[[int, int], None]
_BLOCK = 1 << 18
_NOBODY_S = 3.0  # patience with an address where no service has listened yet: most likely a wrong address


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; the data of a streamed one stay empty."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.data)
        except ValueError as error:
            raise ApiError(
                self.status, "not_json", "the answer is not JSON: is this a gonogo service?"
            ) from error


class _Connection(HTTPConnection):
    """Stops sending a body when the service has already answered: it will not read the rest.

    urllib3 reads the answer after a BrokenPipeError. The half-sent request makes the connection useless for the next
    one, so it then counts as dropped. TLS connections don't look, since bytes that wait there may be a session ticket.
    """

    _half_sent = False

    def connect(self) -> None:
        self._half_sent = False
        super().connect()

    def send(self, data: Any) -> None:
        if self.sock is not None and wait_for_read(self.sock, timeout=0.0):
            self._half_sent = True
            raise BrokenPipeError
        super().send(data)

    @property
    def is_connected(self) -> bool:
        return not self._half_sent and super().is_connected


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class Farthest:
    """How far a body has come over all tries, and when it last came further."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._sent, self.at = progress, 0, 0.0

    def moved(self, sent: int, total: int) -> None:
        if sent > self._sent:
            self._sent, self.at = sent, time.monotonic()
        if self._progress is not None:
            self._progress(sent, total)


class Transport:
    """The connection to one service, opened when needed. Not for use by two threads at once."""

    def __init__(
        self, url: str, key: str | None, *, timeout_s: float, patience_s: float, verify: ssl.SSLContext | None
    ) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(f"{url!r} is not the address of a service: use http://host:port")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._pool: urllib3.HTTPConnectionPool
        if parts.scheme == "https":
            self._pool = urllib3.HTTPSConnectionPool(parts.hostname, parts.port, ssl_context=verify)
        else:
            self._pool = _Pool(parts.hostname, parts.port)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._headers = {"Accept": "application/json", "User-Agent": "gonogo-client"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._was_there = False  # a service has listened at this address

    def close(self) -> None:
        self._pool.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Multipart | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
        hold_s: float = 0.0,
        patience_s: float | None = None,
        progress: Progress | None = None,
        broken: Callable[[str], None] | None = None,
    ) -> Answer:
        """Send a request and return its answer of status 2xx or 304; raises ApiError or Unreachable.

        `repeatable`: sending it twice has the effect of sending it once. `hold_s`: how long the service may
        keep the answer back on purpose. `patience_s`: how long tries go on, if not as long as usual; a body that gets
        further than before renews it. `broken(reason)` is called before each try after a broken connection.
        """
        farthest = Farthest(progress)

        def exchange() -> urllib3.BaseHTTPResponse:
            sent: Any = body
            more = dict(headers or {})
            if isinstance(body, Multipart):
                more |= {"Content-Type": body.content_type, "Content-Length": str(body.length)}
                sent = body.blocks(farthest.moved)
            response = self._open(method, path, sent, headers=more, hold_s=hold_s)
            _ = response.data  # read here, so that an answer that breaks off is asked for again
            return response

        response = self._try(
            exchange, repeatable=repeatable, patience_s=patience_s, farthest=farthest, broken=broken
        )
        return Answer(response.status, response.headers, response.data)

    @contextlib.contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """A long answer, block by block, on a connection of its own.

        Raises ApiError or Unreachable before the first block. The blocks raise ResultsCut when the answer breaks off
        before its end, so that a cut file never looks like a whole one.
        """
        response = self._try(lambda: self._open("GET", path, headers=headers))
        try:
            yield Answer(response.status, response.headers, b""), self._blocks(response)
        finally:
            response.close()

    def _try(
        self,
        exchange: Callable[[], urllib3.BaseHTTPResponse],
        *,
        repeatable: bool = True,
        patience_s: float | None = None,
        farthest: "Farthest | None" = None,
        broken: Callable[[str], None] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """The response of the first exchange that succeeds; raises the last error when the patience ends."""
        began = time.monotonic()
        patience = self._patience_s if patience_s is None else patience_s
        ends_at = began + patience
        for tries in itertools.count(1):
            try:
                response = exchange()
                data = response.data if response.status >= 300 else b""
            except HTTPError as error:
                connected = not isinstance(error, NewConnectionError | ConnectTimeoutError)
                if connected:
                    self._was_there = True
                elif not self._was_there:
                    ends_at = min(ends_at, began + _NOBODY_S)
                if farthest is not None:
                    ends_at = max(ends_at, farthest.at + patience)
                pause = _backoff(tries)
                if (connected and not repeatable) or time.monotonic() + pause > ends_at:
                    raise self._unreachable(error) from error
                if broken is not None:
                    broken(self._unreachable(error).detail)
                time.sleep(pause)
                continue
            self._was_there = True
            if response.status < 300 or response.status == 304:
                break
            problem = read_problem(response.status, response.headers, data)
            again = (
                problem.status in {429, 503}
                or (problem.status == 409 and problem.retry_after_s is not None)
                or (problem.status in {502, 504} and repeatable)  # a proxy before a service that restarts
            )
            pause = max(problem.retry_after_s or 0.0, _backoff(tries))
            if not again or time.monotonic() + pause > ends_at:
                raise problem
            time.sleep(pause)
        return response

    def _blocks(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        received = 0
        try:
            # Whatever has come: `stream` hands out whole chunks, and drops the part of one that breaks off.
            while block := response.read1(_BLOCK, decode_content=False):
                received += len(block)
                yield block
        except HTTPError as error:
            raise ResultsCut(
                f"the results broke off after {received} bytes: was the batch deleted? ({self._unreachable(error)})"
            ) from error

    def _open(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str], hold_s: float = 0.0
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; the response's body has not been read yet."""
        return self._pool.urlopen(
            method,
            self._prefix + path,
            body,
            headers={**self._headers, **headers},
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=self._timeout_s, read=self._timeout_s + hold_s),
            preload_content=False,
            decode_content=False,
        )

    def _unreachable(self, error: BaseException) -> Unreachable:
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, ConnectionRefusedError):
            return Unreachable(f"no service at {self.url}: connection refused")
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        return Unreachable(f"no answer from {self.url}: {reason}")


def _backoff(tries: int) -> float:
    return min(5.0, 0.1 * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
