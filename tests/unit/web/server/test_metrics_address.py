"""The second listener serves /metrics without a key, and nothing else; no header opens it at the first one."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from flask import Flask, request

from tests.unit.web.server.conftest import read_all
from web.live.waits import Wakes
from web.server.bridge import Bridge
from web.server.connection import uvicorn_options
from web.server.environ import KEYLESS
from web.server.metrics_address import MetricsAddress


def ask(port: int, path: str, headers: str = "") -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n".encode())
        return read_all(sock)


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """The port of the service and that of its metrics."""
    app = Flask("small")

    @app.get("/<path:path>")
    def view(path: str) -> str:
        return f"{path} {'without' if KEYLESS in request.environ else 'with'} a key"

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    usual, metrics = (sock.getsockname()[1] for sock in sockets)
    bridge = MetricsAddress(Bridge(app, Wakes(), lambda *_: False), metrics)
    server = uvicorn.Server(uvicorn.Config(bridge, **uvicorn_options()))
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield usual, metrics
    server.should_exit = server.force_exit = True
    thread.join(10)


def test_the_metrics_address_serves_the_metrics_without_a_key_and_nothing_else(
    ports: tuple[int, int],
) -> None:
    _, metrics = ports
    assert ask(metrics, "/metrics").endswith(b"metrics without a key")
    for path in ("/", "/livez", "/v1/batches", "/metrics/", "/metrics/../v1/batches", "//metrics"):
        answer = ask(metrics, path)
        assert answer.startswith(b"HTTP/1.1 404"), path
        assert b"not_found" in answer, path


def test_no_header_makes_the_other_address_keyless(ports: tuple[int, int]) -> None:
    usual, metrics = ports
    for name in ("gonogo.keyless", "Gonogo-Keyless", "X-Forwarded-Port", "X-Forwarded-Host"):
        sent = ask(usual, "/metrics", f"{name}: {metrics}\r\n")
        assert sent.endswith(b"metrics with a key"), name
