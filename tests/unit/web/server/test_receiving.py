"""Bodies that wait in memory: the quiet ones make room for those that move, and all together are bounded."""

import http.client
import socket
import time

import pytest

from tests.unit.web.server.conftest import Site
from web.server.bridge import Limits
from web.server.receiving import Held, Room
from web.server.refusals import Refusal

KB = 2**10


def test_the_body_that_is_quiet_for_longest_makes_room() -> None:
    room = Room(100, quiet_s=0.05)
    bodies = {name: room.hold() for name in ("a", "b", "c")}
    for body in bodies.values():
        body.add(30)
    time.sleep(0.06)
    bodies["a"].add(5)
    bodies["c"].add(30)
    assert [name for name, body in bodies.items() if body.given_up] == ["b"]
    assert room.held() == 95


def test_a_body_is_refused_where_all_others_move_or_wait_for_the_server() -> None:
    room = Room(100, quiet_s=0.05)
    whole, moving, late = (room.hold() for _ in range(3))
    whole.add(60)
    whole.keep()
    time.sleep(0.06)
    moving.add(30)
    with pytest.raises(Refusal) as refused, late:
        late.add(20)
    assert (refused.value.status, refused.value.code) == (503, "overloaded")
    assert room.held() == 90, "the refused body is not counted"


def test_a_body_alone_that_is_larger_than_the_room_is_refused() -> None:
    room = Room(100, quiet_s=0.05)
    with pytest.raises(Refusal), Held(room) as body:
        body.keep()
        body.add(101)
    assert room.held() == 0


@pytest.fixture
def limits() -> Limits:
    return Limits(threads=4, slot_quiet_s=0.3, held_bytes=4 * 2**20)


def test_strangers_with_half_bodies_hold_bounded_memory_and_keep_no_one_out(site: Site) -> None:
    """Each has sent 60 of 64 kB, without a key."""
    head = b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 65000\r\n\r\n"
    strangers = [site.connect() for _ in range(150)]
    for sock in strangers:
        sock.sendall(head + bytes(60 * KB))
    time.sleep(0.5)
    honest = site.connect()
    for _ in range(30):
        honest.sendall(head.replace(b"65000", b"50000") + bytes(50_000))
        assert status_of_next(honest) == 200
    answers = [answer(sock) for sock in strangers]
    refused = [each for each in answers if each]
    assert 0 < answers.count(b"") <= 4 * 2**20 // (60 * KB)
    assert all(b"HTTP/1.1 503" in each and b"retry-after: 2" in each for each in refused), refused[:3]


def answer(sock: socket.socket) -> bytes:
    """The beginning of the answer; empty where none has come."""
    sock.settimeout(0.01)
    try:
        return sock.recv(2**16)
    except TimeoutError:
        return b""


def status_of_next(sock: socket.socket) -> int:
    """The status of the next answer, which is read to its end: it comes in more than one segment."""
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    answer.read()
    return answer.status


def test_an_honest_body_that_made_room_is_told_when_to_come_again(site: Site) -> None:
    """A loaded machine stops a client for a while; a closed socket would say that the service is broken."""
    head = b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 65000\r\n\r\n"
    halted = site.connect()
    halted.sendall(head + bytes(60 * KB))
    time.sleep(0.5)
    for _ in range(70):
        site.connect().sendall(head + bytes(60 * KB))
    assert status_of_next(halted) == 503
    halted.sendall(bytes(65_000 - 60 * KB))  # the rest of the body; the connection stays in step
    halted.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_of_next(halted) == 200
