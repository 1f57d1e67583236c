"""uvicorn's HTTP connection, with deadlines that it lacks and problem documents for what it refuses itself."""

import asyncio
import socket
import uuid
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from web.server.refusals import Refusal, problem_body

HEADERS_S = 15.0  # for the headers of a request, from its first byte
IDLE_S = 75.0  # for the first byte on a new connection; uvicorn's keep-alive timeout bounds the later ones
HEADER_BYTES = 2**16  # of a request's headers, and of the trailers of a chunked body
HEADER_FIELDS = 256
LEAST_PIECE_BYTES = 16  # of a chunked body, on average: the parser calls us for each chunk
FIRST_PIECES = 4096  # whose size is not looked at
UNREAD_BYTES = (
    2**27
)  # of a body whose answer has been given; more, or longer than UNREAD_S, ends the connection
UNREAD_S = 20.0


class Connection(HttpToolsProtocol):
    """A connection. uvicorn calls the methods; each deadline is a timer of the event loop."""

    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _fields = 0
    _field_bytes = 0  # of the headers, then of the trailers
    _pieces = 0
    _body_bytes = 0
    _unread = 0
    _in_headers = True
    client_ended = False  # the client sends nothing more, and may still read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline(IDLE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            if self._header_bytes == 0:
                self._set_deadline(HEADERS_S)
            self._header_bytes += len(data)
        super().data_received(data)
        # Bytes of a body may have come with the headers, so this is looked at once the parser has had them.
        if self._in_headers and self._header_bytes > HEADER_BYTES and not self.is_gone():
            self._refuse_headers()

    def on_message_begin(self) -> None:
        self._in_headers = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the headers. Trailers are counted and dropped: a field that comes after the checks, such as
        an address or a key, must not change the request. An error here ends the request, with 400 where no answer has
        been given."""
        self._field_bytes += len(name) + len(value) + 4
        too_long = self._field_bytes + len(self.url) > HEADER_BYTES
        if not self._in_headers:
            if too_long:
                raise ValueError("the trailers are too long")
            return
        self._fields += 1
        if too_long or self._fields > HEADER_FIELDS:
            self._refuse_headers()
            raise ValueError("the headers are too long")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers, self._header_bytes, self._unread = False, 0, 0
        self._fields = self._field_bytes = self._pieces = self._body_bytes = 0
        self._clear_deadline()
        super().on_headers_complete()
        # The queue of a pipelining client shares one dictionary a request: the bridge finds its connection here.
        self.scope["gonogo.protocol"] = self  # type: ignore[typeddict-unknown-key]

    def on_body(self, body: bytes) -> None:
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > FIRST_PIECES and self._body_bytes < LEAST_PIECE_BYTES * self._pieces:
            raise ValueError(f"the chunks of a body have less than {LEAST_PIECE_BYTES} bytes on average")
        if self.cycle.response_complete:
            # An answer before the end of the body: go on reading for a while, or the client could meet a reset
            # before it has read the answer (RFC 9112, 9.6).
            if self._unread == 0:
                self._set_deadline(UNREAD_S)
            self._unread += len(body)
            if self._unread > UNREAD_BYTES:
                self.abort()
            return
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body and not self.is_gone():
            self._set_deadline(UNREAD_S)  # the rest of a body whose answer is given may never come

    def timeout_keep_alive_handler(self) -> None:
        if not self.is_gone() and self.transport.get_write_buffer_size():
            self.abort()  # close() would wait for a client that does not read
        super().timeout_keep_alive_handler()

    def on_message_complete(self) -> None:
        if self._unread:
            self._clear_deadline()
        super().on_message_complete()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep a half-closed connection while a request is answered; its body may have ended too early."""
        self.client_ended = True
        if self.cycle is None or self.cycle.response_complete:
            return None
        self.cycle.keep_alive = False
        self.cycle.message_event.set()
        return True

    def send_400_response(self, msg: str) -> None:
        if not self.is_gone():
            self._refuse(Refusal(400, "bad_request", msg))

    def _refuse_headers(self) -> None:
        """414 where the address is most of it, else 431 (RFC 9110, 15.5.15; RFC 6585, 5)."""
        is_address = len(self.url) > HEADER_BYTES // 2
        detail = (
            f"a request has at most {HEADER_FIELDS} header fields, and {HEADER_BYTES} bytes before its body"
        )
        self._refuse(Refusal(414 if is_address else 431, "headers_too_large", detail))

    def _refuse(self, refusal: Refusal) -> None:
        request_id = uuid.uuid4().hex
        body = problem_body(refusal.status, refusal.code, refusal.detail, "", request_id)
        head = [
            STATUS_LINE[refusal.status],
            b"content-type: application/problem+json\r\n",
            b"x-request-id: " + request_id.encode() + b"\r\n",
            b"content-length: " + str(len(body)).encode() + b"\r\n",
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join(head) + body)
        self.transport.close()

    def abort(self) -> None:
        """End the connection at once, with what has not been sent."""
        if self.transport is not None:
            self.transport.abort()

    def bound_unsent(self, size: int) -> None:
        """Bound the bytes that the system holds for a client that does not read."""
        sock = None if self.is_gone() else self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        return self.transport is None or self.transport.is_closing()

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def uvicorn_options() -> dict[str, Any]:
    """The options of uvicorn, apart from the address."""
    return {
        "http": Connection,
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "off",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": 75,
        "backlog": 2048,
    }
