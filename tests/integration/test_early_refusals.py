"""Refusals that come before the body has been read reach the client, and broken bodies are the client's error.

A server that closes a connection with unread bytes in it resets it, and the client can lose an answer that was
already on its way. Raw sockets show that; a client library may hide it.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import until
from tests.harness.stack import Stack, running

pytestmark = pytest.mark.timeout(120)
MB = 2**20
FORM = "multipart/form-data; boundary=b"
HEAD = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    """A web process that takes requests of at most 32 MB."""
    folder = tmp_path_factory.mktemp("s")
    with running(folder, [artifact], "web", max_request_bytes=32 * MB) as made:
        until(lambda: answers(made), 60, "the web process answers")
        yield made


def answers(stack: Stack) -> bool:
    try:
        return stack.request("GET", "/livez")[0] == 200
    except OSError:
        return False


def head(stack: Stack, path: str, **headers: str) -> bytes:
    lines = {"Host": "test", "Authorization": f"Bearer {stack.key}", "Content_Type": FORM, **headers}
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items() if value)
    return f"POST {path} HTTP/1.1\r\n{text}\r\n".encode()


def exchange(stack: Stack, request: bytes, body: Iterator[bytes]) -> tuple[int, dict[str, Any]]:
    """Send a request without looking at the answer, as simple clients do; then read the answer."""
    with socket.create_connection(("127.0.0.1", stack.settings.port), 30) as connection:
        connection.sendall(request)
        cut = threading.Event()

        def send() -> None:
            try:
                for block in body:
                    connection.sendall(block)
            except OSError:
                cut.set()

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        sender.join(10)
        time.sleep(0.2)  # a reset would arrive now, before the client reads
        received = b""
        while not whole(received):
            block = connection.recv(65_536)
            assert block, f"the connection closed after {received!r}"
            received += block
    header, _, content = received.partition(b"\r\n\r\n")
    return int(header.split()[1]), json.loads(content)


def whole(received: bytes) -> bool:
    header, end, content = received.partition(b"\r\n\r\n")
    lengths = [line for line in header.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and bool(lengths) and len(content) >= int(lengths[0].split(b":")[1])


def megabytes(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield bytes(MB)


@pytest.mark.parametrize("length", [1, 20], ids=["1 MB", "20 MB"])
@pytest.mark.parametrize(
    ("headers", "path", "expected"),
    [
        ({"Authorization": ""}, "/v1/batches", (401, "unauthorized")),
        ({"Content_Type": "text/plain"}, "/v1/batches", (415, "unsupported_media_type")),
        ({}, "/v1/nothing", (404, "not_found")),
        ({"Content_Type": "text/plain"}, "/v1/models", (415, "unsupported_media_type")),
    ],
)
def test_a_refusal_reaches_a_client_that_sends_its_whole_body_first(
    stack: Stack, headers: dict[str, str], path: str, expected: tuple[int, str], length: int
) -> None:
    request = head(stack, path, Content_Length=str(length * MB), **headers)
    status, problem = exchange(stack, request, megabytes(length))
    assert (status, problem["code"]) == expected


def test_a_body_that_is_declared_too_large_is_refused_before_it_is_sent(stack: Stack) -> None:
    request = head(stack, "/v1/batches", Content_Length=str(2**40))
    status, problem = exchange(stack, request, megabytes(4))
    assert (status, problem["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nhello\r\n",
    ],
    ids=["no number", "no end of a chunk", "negative", "huge"],
)
def test_a_broken_chunked_body_is_the_clients_error(stack: Stack, chunks: bytes) -> None:
    request = head(stack, "/v1/batches", Transfer_Encoding="chunked")
    first = b"%x\r\n%b\r\n" % (len(HEAD), HEAD)
    with socket.create_connection(("127.0.0.1", stack.settings.port), 30) as connection:
        connection.sendall(request + first + chunks)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while block := connection.recv(65_536):
            received += block
    assert received.split()[1] == b"400", received


def test_a_sound_chunked_body_is_taken(stack: Stack) -> None:
    body = HEAD + b"x" * 1000 + b"\r\n--b--\r\n"
    chunked = b"".join(
        b"%x\r\n%b\r\n" % (len(body[at : at + 100]), body[at : at + 100]) for at in range(0, len(body), 100)
    )
    request = head(stack, "/v1/batches", Transfer_Encoding="chunked")
    status, batch = exchange(stack, request, iter([chunked + b"0\r\n\r\n"]))
    assert (status, batch["counts"]["total"]) == (202, 1)
