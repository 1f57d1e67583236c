"""A body is read straight from gunicorn's socket, or in the ordinary way if gunicorn's private classes are missing."""

import importlib
import io
import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import Unreader

from web.upload import body

BODY = os.urandom(3 * body.BLOCK + 17)
NEXT = b"GET /next HTTP/1.1\r\nHost: test\r\n\r\n"


def head(length: int) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


def parser(served: socket.socket) -> Any:
    return RequestParser(Config(), served, ("127.0.0.1", 1))


def send(client: socket.socket, data: bytes, *, close: bool = False) -> None:
    def run() -> None:
        client.sendall(data)
        if close:
            client.shutdown(socket.SHUT_WR)

    threading.Thread(target=run, daemon=True).start()


@pytest.fixture(params=["private classes", "method missing", "import fails"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each way in which gunicorn may or may not have what the fast path needs."""
    if request.param == "method missing":
        monkeypatch.delattr(Unreader, "take_buffered")
    elif request.param == "import fails":
        monkeypatch.setitem(sys.modules, "gunicorn.http.unreader", None)
        importlib.reload(body)
    yield request.param
    monkeypatch.undo()
    importlib.reload(body)


def test_the_body_comes_whole_and_the_next_request_after_it(
    reading: str, sockets: tuple[socket.socket, socket.socket]
) -> None:
    served, client = sockets
    send(client, head(len(BODY)) + BODY + NEXT)
    requests = parser(served)
    first = next(requests)
    assert body._has_socket(first.body) == (reading == "private classes")
    assert b"".join(body.blocks(first.body)) == BODY
    assert next(requests).path == "/next"


def test_a_body_that_is_cut_ends_early_or_raises(
    reading: str, sockets: tuple[socket.socket, socket.socket]
) -> None:
    """gunicorn's own reader raises, the socket path ends: neither passes half a body for a whole one."""
    served, client = sockets
    send(client, head(len(BODY)) + BODY[:1000], close=True)
    stream = next(parser(served)).body
    received = b""
    try:
        for block in body.blocks(stream):
            received += block
    except OSError:
        pass
    assert BODY[:1000].startswith(received)


def test_a_chunked_body_is_read_in_the_ordinary_way(sockets: tuple[socket.socket, socket.socket]) -> None:
    served, client = sockets
    chunked = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    send(client, chunked + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    stream = next(parser(served)).body
    assert not body._has_socket(stream)
    assert b"".join(body.blocks(stream)) == b"hello world"


def test_a_stream_of_another_server_is_read_in_the_ordinary_way() -> None:
    assert b"".join(body.blocks(io.BytesIO(BODY))) == BODY
