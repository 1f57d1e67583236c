"""The guard on sockets: a test that leaves loopback fails, in its own process and in the processes that it starts."""

import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.harness.guard import LeftLoopback, is_loopback
from tests.harness.processes import ROOT, environment


@pytest.mark.parametrize(
    "host", ["93.184.216.34", "10.0.0.1", "169.254.169.254", "::ffff:8.8.8.8", "2606:4700::1111"]
)
def test_a_connection_beyond_loopback_is_refused_before_it_is_tried(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client, pytest.raises(LeftLoopback, match="no test may leave loopback"):
        client.connect((host, 80))


def test_a_datagram_beyond_loopback_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, pytest.raises(LeftLoopback):
        client.sendto(b"x", ("192.0.2.1", 53))


def test_a_name_is_not_looked_up() -> None:
    with pytest.raises(LeftLoopback, match="name server"):
        urllib.request.urlopen("http://example.com/", timeout=1)


def test_a_child_process_has_the_guard_too() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert "LeftLoopback" in done.stderr


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", "0.0.0.0", "::ffff:127.0.0.1", None]
)
def test_addresses_of_loopback(host: str | None) -> None:
    assert is_loopback(host)
