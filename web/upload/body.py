"""A request's body in blocks, straight from the socket if the server is gunicorn.

gunicorn's own reader copies each byte about five times on its way to the application. Measured here, that was a third
of the cost of an upload to the web process. The classes below are private to gunicorn: pyproject.toml pins the range
of versions that has them, and without them the body is read in the ordinary way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from flask import Request

try:
    from gunicorn.http.body import Body as GunicornBody
    from gunicorn.http.body import LengthReader
    from gunicorn.http.unreader import SocketUnreader
except ImportError:  # pragma: no cover - another server, or a gunicorn that has renamed them
    GunicornBody = LengthReader = SocketUnreader = None

BLOCK = 2**17


@dataclass(frozen=True, slots=True)
class Body:
    """The body of one request and the facts of its header. `length` is None for a chunked body."""

    stream: IO[bytes]
    length: int | None
    media_type: str
    boundary: str | None

    @classmethod
    def of(cls, request: Request) -> "Body":
        boundary = request.mimetype_params.get("boundary")
        return cls(request.stream, request.content_length, request.mimetype, boundary)


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """The body to its end, or to the place where the client broke off."""
    if _has_socket(stream):
        yield from _from_socket(stream)
        return
    while block := stream.read(BLOCK):
        yield block


def _has_socket(stream: Any) -> bool:
    """Whether the stream is gunicorn's, unread so far, of a known length, on a socket."""
    return (
        GunicornBody is not None
        and isinstance(stream, GunicornBody)
        and isinstance(getattr(stream, "reader", None), LengthReader)
        and not stream.buf.tell()
        and isinstance(getattr(stream.reader, "unreader", None), SocketUnreader)
        and hasattr(stream.reader.unreader, "take_buffered")
    )


def _from_socket(body: Any) -> Iterator[bytes]:
    """`reader.length` is kept true after every block: gunicorn finds the next request of the connection by it."""
    reader, unreader = body.reader, body.reader.unreader
    ahead = unreader.take_buffered()
    if len(ahead) > reader.length:
        unreader.unread(ahead[reader.length :])
        ahead = ahead[: reader.length]
    if ahead:
        reader.length -= len(ahead)
        yield ahead
    while reader.length:
        try:
            block = unreader.sock.recv(min(BLOCK, reader.length))
        except OSError:
            body.failed = True
            raise
        if not block:
            body.failed = True
            return
        reader.length -= len(block)
        yield block
