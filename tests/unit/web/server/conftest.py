"""A small Flask application behind the real server, on a loopback port of its own."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from flask import Flask, Response, request

from shared.errors import GonogoError
from web.live.waits import DEADLINE, PARKED, PASSED, PRECHECK, Parked, Wakes
from web.server.bridge import Bridge, Limits
from web.server.connection import uvicorn_options


@dataclass
class Site:
    """The running server, what it waits by, and what its views saw."""

    port: int
    wakes: Wakes
    seen: list[str] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    def connect(self, timeout_s: float = 10.0) -> socket.socket:
        """A new connection; the end of the test closes it."""
        self.sockets.append(socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s))
        return self.sockets[-1]

    def ask(self, text: str, timeout_s: float = 10.0) -> bytes:
        """Send a request on a connection of its own and read until the server closes it."""
        with self.connect(timeout_s) as sock:
            sock.sendall(text.replace("\n", "\r\n").encode())
            return read_all(sock)

    def get(self, path: str, timeout_s: float = 10.0) -> bytes:
        """GET a path."""
        return self.ask(f"GET {path} HTTP/1.1\nHost: x\nConnection: close\n\n", timeout_s)


def read_all(sock: socket.socket) -> bytes:
    """Everything that the server sends until it closes or resets the connection."""
    answer = b""
    try:
        while block := sock.recv(2**16):
            answer += block
    except ConnectionResetError:
        answer += b"<reset>"
    return answer


class Looks:
    """How many views look at this moment."""

    def __init__(self) -> None:
        self.now, self._lock = 0, threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def application(site_seen: list[str]) -> Flask:
    """Views that wait, stream, read bodies and break."""
    app, look = Flask("small"), Looks()

    @app.before_request
    def precheck() -> tuple[str, int] | None:
        if not request.environ.pop(PRECHECK, False):
            return None
        if request.path == "/refuse":
            return "refused", 401
        request.environ[PASSED] = True
        return "", 204

    @app.errorhandler(Parked)
    def park(parked: Parked) -> tuple[str, int]:
        request.environ[PARKED] = parked
        return "", 204

    @app.get("/livez")
    def livez() -> str:
        return "alive"

    @app.get("/slow")
    def slow() -> str:
        time.sleep(float(request.args["s"]))
        return "slept"

    @app.get("/wait")
    def wait() -> str:
        until = request.environ.setdefault(DEADLINE, time.monotonic() + float(request.args["s"]))
        request.environ["calls"] = calls = request.environ.get("calls", 0) + 1
        if calls > 1 or time.monotonic() >= until:
            with look:
                site_seen.append(f"looking: {look.now}")
                time.sleep(float(request.args.get("work", 0)))
            return f"answered in call {calls}"
        raise Parked(request.args.get("key", "key"), until)

    @app.post("/upload")
    def upload() -> Any:
        digest, size = hashlib.sha256(), 0
        try:
            while block := request.stream.read(2**17):
                digest.update(block)
                size += len(block)
        except GonogoError as error:
            site_seen.append(f"broken: {error.code}")
            return error.code, 408
        return f"{size} {digest.hexdigest()}"

    @app.post("/refuse")
    def refuse() -> tuple[str, int]:
        return "refused", 401

    @app.post("/small")
    def small() -> str:
        return f"{len(request.get_data())} bytes"

    @app.get("/stream")
    @app.get("/results")
    def stream() -> Response:
        site_seen.append("stream asked for")

        def blocks() -> Iterator[bytes]:
            try:
                for _ in range(int(request_blocks)):
                    yield b"x" * 2**20
            finally:
                site_seen.append("stream closed")

        request_blocks = request.args["blocks"]
        return Response(blocks())

    @app.get("/broken-stream")
    def broken_stream() -> Response:
        def blocks() -> Iterator[bytes]:
            yield b"begun"
            raise RuntimeError("the stream cannot go on")

        return Response(blocks())

    @app.get("/events")
    def events() -> Response:
        def blocks() -> Iterator[Any]:
            for number in range(3):
                yield f"id: {number}\n\n".encode()
                yield Parked("events", time.monotonic() + 30)

        return Response(blocks(), content_type="text/event-stream")

    return app


@pytest.fixture
def limits() -> Limits:
    """Short deadlines and few threads, so that tests meet them."""
    return Limits(
        threads=4,
        upload_slots=2,
        stream_slots=3,
        quiet_s=2.0,
        slot_quiet_s=0.3,
        export_s=0.01,
        write_s=1.0,
        queued_requests=250,
    )


@pytest.fixture
def site(limits: Limits) -> Iterator[Site]:
    seen: list[str] = []
    wakes, app = Wakes(), application(seen)
    bridge = Bridge(app, wakes, lambda method, path: path in ("/upload", "/refuse"), limits)
    config = uvicorn.Config(bridge, host="127.0.0.1", port=0, **uvicorn_options())
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    running = Site(server.servers[0].sockets[0].getsockname()[1], wakes, seen)
    yield running
    for sock in running.sockets:
        sock.close()
    wakes.stop()
    server.should_exit = server.force_exit = True
    thread.join(10)
