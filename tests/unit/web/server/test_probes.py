"""Probes are answered whatever waits for a thread: an orchestrator ends a process that does not answer them."""

import time

import pytest

from tests.unit.web.server.conftest import Site
from web.server.bridge import Limits


@pytest.fixture
def limits() -> Limits:
    return Limits(threads=1, queued_requests=2)


def test_a_probe_is_answered_while_other_requests_are_refused(site: Site) -> None:
    slow = b"GET /slow?s=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    waiting = [site.connect() for _ in range(3)]
    for sock in waiting:
        sock.sendall(slow)
    time.sleep(0.5)
    assert site.get("/slow?s=0").startswith(b"HTTP/1.1 503")
    for _ in range(5):
        assert b"alive" in site.get("/livez")
    assert site.get("/slow?s=0").startswith(b"HTTP/1.1 503"), "the queue was full all the while"
