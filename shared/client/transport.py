"""The client's wire: one kept connection, errors by type, and tries that end.

A call is tried again when the service says so (429, 503, or 409 while the same submission is running, each
with Retry-After) and when the connection breaks, if repeating the call cannot do it twice.
"""

import contextlib
import http.client
import json
import os
import random
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shared.client.multipart import Multipart
from shared.errors import GonogoError

Progress = Callable[[int, int], None]
_BLOCK = 1 << 18
_NOBODY_S = 3.0  # patience with an address where nobody has listened yet: most likely a wrong one


class ApiError(GonogoError):
    """The service answered with an error: `status`, the stable `code`, and what was wrong with which part."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail, code=code)
        self.status = status
        self.errors = errors or []
        self.retry_after_s = retry_after_s
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.detail} ({self.status} {self.code})"


class Unreachable(GonogoError):
    """No service answers at this address, or it stopped answering for longer than the tries last."""

    code = "unreachable"


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer."""

    status: int
    headers: http.client.HTTPMessage
    data: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.data)
        except ValueError as error:
            raise ApiError(
                self.status, "not_json", "the answer is not JSON: is this a gonogo service?"
            ) from error


class Transport:
    """One connection to one service, opened when needed. Not for use by two threads at once."""

    def __init__(
        self, url: str, key: str | None, *, timeout_s: float, patience_s: float, verify: ssl.SSLContext | None
    ) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(f"{url!r} is not the address of a service: use http://host:port")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._verify = verify
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._headers = {"Accept": "application/json", "User-Agent": "gonogo-client"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._kept: http.client.HTTPConnection | None = None
        self._was_there = False  # somebody has listened at this address

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

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
    ) -> Answer:
        """One request and its answer of status 2xx or 304; raises ApiError or Unreachable.

        `repeatable`: sending it twice has the effect of sending it once. `hold_s`: how long the service may
        keep the answer back on purpose. `patience_s`: how long tries go on, if not as long as usual.
        """
        began = time.monotonic()
        ends_at = began + (self._patience_s if patience_s is None else patience_s)
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._exchange(method, path, body, headers or {}, hold_s=hold_s, progress=progress)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                connected = not isinstance(error, ConnectionRefusedError | socket.gaierror)
                if not connected and not self._was_there:
                    ends_at = min(ends_at, began + _NOBODY_S)
                pause = _backoff(tries)
                if (connected and not repeatable) or time.monotonic() + pause > ends_at:
                    raise self._unreachable(error) from error
                time.sleep(pause)
                continue
            if answer.status < 300 or answer.status == 304:
                return answer
            problem = read_problem(answer)
            again = (
                problem.status in {429, 503}
                or (problem.status == 409 and problem.retry_after_s is not None)
                or (problem.status in {502, 504} and repeatable)  # a proxy before a service that restarts
            )
            pause = max(problem.retry_after_s or 0.0, _backoff(tries))
            if not again or time.monotonic() + pause > ends_at:
                raise problem
            time.sleep(pause)

    @contextlib.contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """A long answer, block by block, on a connection of its own; the Answer's data stays empty.

        Raises Unreachable when it breaks before its end: a cut file never looks like a whole one.
        """
        connection = self._connect()
        try:
            try:
                connection.request("GET", self._prefix + path, headers={**self._headers, **headers})
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
            if response.status >= 300:
                raise read_problem(Answer(response.status, response.headers, response.read()))
            yield Answer(response.status, response.headers, b""), self._blocks(response)
        finally:
            connection.close()

    def _blocks(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while block := response.read1(_BLOCK):
                yield block
            if response.length:  # a declared length that was not reached; a cut chunked body raises by itself
                raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._verify
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _exchange(
        self,
        method: str,
        path: str,
        body: Multipart | bytes | None,
        headers: Mapping[str, str],
        *,
        hold_s: float,
        progress: Progress | None,
    ) -> Answer:
        connection = self._kept
        if connection is not None and (connection.sock is None or _readable(connection.sock)):
            self.close()  # the service closed it while it lay idle
            connection = None
        if connection is None:
            connection = self._kept = self._connect()
            connection.connect()
            self._was_there = True
        connection.sock.settimeout(self._timeout_s + hold_s)
        connection.putrequest(method, self._prefix + path, skip_accept_encoding=True)
        for name, value in {**self._headers, **headers}.items():
            connection.putheader(name, value)
        if isinstance(body, Multipart):
            connection.putheader("Content-Type", body.content_type)
            connection.putheader("Content-Length", str(body.length))
        elif body is not None or method != "GET":
            connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body if isinstance(body, bytes) else None)
        whole = True
        if isinstance(body, Multipart):
            whole = _write_body(body, connection, progress)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        if not whole or response.will_close:
            self.close()
        return answer

    def _unreachable(self, error: BaseException) -> Unreachable:
        if isinstance(error, ConnectionRefusedError):
            return Unreachable(f"no service at {self.url}: connection refused")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"no answer from {self.url}: {reason}")


class _AnsweredEarly(Exception):
    """The service answered before it had the whole body: it will not read the rest."""


class _SocketWire:
    """Multipart's way onto the connection; stops as soon as the service has answered."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._socket: socket.socket = connection.sock
        self._plain = not isinstance(connection.sock, ssl.SSLSocket)

    def send(self, block: memoryview | bytes) -> None:
        if self._plain and _readable(self._socket):
            raise _AnsweredEarly
        self._socket.sendall(block)

    def send_file(self, descriptor: int, offset: int, count: int) -> None:
        if self._plain and _readable(self._socket):
            raise _AnsweredEarly
        with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
            if self._socket.sendfile(file, offset, count) != count:
                raise ConnectionError("the file ended before its length")


def _write_body(body: Multipart, connection: http.client.HTTPConnection, progress: Progress | None) -> bool:
    """Send the body; False when the service answered or closed before its end: its answer may be there."""
    try:
        body.write(_SocketWire(connection), progress)
    except (_AnsweredEarly, BrokenPipeError, ConnectionResetError):
        return False
    except BaseException:
        connection.close()  # half a body was promised: the service must see it break off
        raise
    return True


def _readable(sock: socket.socket) -> bool:
    """Whether bytes or an end wait on a plain socket (a TLS socket may always hold a session ticket)."""
    if isinstance(sock, ssl.SSLSocket):
        return False
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _backoff(tries: int) -> float:
    return min(5.0, 0.1 * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret


def read_problem(answer: Answer) -> ApiError:
    """The typed error of an answer, whether or not its body is problem+json."""
    try:
        problem = json.loads(answer.data)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    reason = http.client.responses.get(answer.status, "error")
    retry_after = answer.headers.get("Retry-After", "")
    return ApiError(
        answer.status,
        str(problem.get("code") or f"http_{answer.status}"),
        str(problem.get("detail") or problem.get("title") or reason),
        errors=[error for error in problem.get("errors") or [] if isinstance(error, dict)],
        retry_after_s=float(retry_after) if retry_after.replace(".", "", 1).isdigit() else None,
        request_id=problem.get("request_id") or answer.headers.get("X-Request-Id"),
    )
