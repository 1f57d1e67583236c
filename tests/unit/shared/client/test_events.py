"""The client follows a batch over broken connections, and knows the end of the stream."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.client import ApiError, Client
from shared.client.events import Event, read_events

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GONE = b'HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n{"code":"not_found"}'
END = b"event: end\ndata: {}\n\n"


def message(number: int, kind: str) -> bytes:
    data = json.dumps({"object": "batch", "status": kind})
    return f"id: {number}\nevent: batch.{kind}\ndata: {data}\n\n".encode()


def chunk(text: bytes) -> bytes:
    return f"{len(text):x}\r\n".encode() + text + b"\r\n"


LAST = chunk(b"")


@contextmanager
def served(*answers: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers, one a connection; the heads of the requests."""
    heads: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                sock, _ = listening.accept()
                with sock:
                    heads.append(sock.recv(2**16).decode())
                    sock.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heads
        thread.join(10)


def test_a_stream_that_is_cut_goes_on_after_the_last_whole_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.client.events._RETRY_S", 0.01)
    cut = OK + chunk(b"retry: 1000\n\n") + chunk(message(1, "created")) + chunk(message(4, "started")[:20])
    drained = OK + chunk(b":\n\n" + message(4, "started")) + LAST
    ended = OK + chunk(message(9, "completed")) + chunk(END) + LAST
    with served(cut, drained, ended) as (url, heads), Client(url, "key") as client:
        told = list(client.events("bat_1"))
    assert [(each.id, each.type) for each in told] == [
        (1, "batch.created"),
        (4, "batch.started"),
        (9, "batch.completed"),
    ]
    assert told[2].data["status"] == "completed"
    asked = [head.partition("Last-Event-ID: ")[2].partition("\r\n")[0] for head in heads]
    assert asked == ["", "1", "4"]


def test_a_batch_whose_end_is_known_tells_nothing() -> None:
    with (
        served(b"HTTP/1.1 204 No Content\r\n\r\n") as (url, heads),
        Client(url, "key") as client,
    ):
        assert list(client.events("bat_1", after=9)) == []
    assert "Last-Event-ID: 9" in heads[0]


def test_a_batch_that_is_deleted_meanwhile_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.client.events._RETRY_S", 0.01)
    with served(OK + chunk(message(1, "created")), GONE) as (url, _), Client(url, "key") as client:
        told = client.events("bat_1")
        assert next(told).type == "batch.created"
        with pytest.raises(ApiError):
            next(told)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_messages_are_found_however_the_blocks_are_cut(size: int) -> None:
    text = b"retry: 1000\n\n:\n\n" + message(1, "created") + b":\n\n" + message(2, "paused") + b"id: 3\nev"
    blocks = [text[first : first + size] for first in range(0, len(text), size)]
    assert [each.type for each in read_events(blocks)] == ["batch.created", "batch.paused"]
    assert next(iter(read_events(blocks))) == Event(
        1, "batch.created", {"object": "batch", "status": "created"}
    )
