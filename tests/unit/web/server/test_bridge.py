"""The server holds a thread only while there is work, and ends connections that hold something back."""

import contextlib
import hashlib
import json
import socket
import struct
import threading
import time

import pytest

from tests.unit.web.server.conftest import Site, read_all
from web.server import connection
from web.server.bridge import EXPORTS_WAITING, LOOKS_AT_ONCE, Limits

MANY = 200  # fifty times the threads of the site


def test_a_request_that_waits_holds_no_thread(site: Site) -> None:
    waiting = [site.connect(30) for _ in range(MANY)]
    for sock in waiting:
        sock.sendall(b"GET /wait?s=20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    until(lambda: site.wakes.waiting() == MANY)
    assert b"slept" in site.get("/slow?s=0.01")
    site.wakes.tell("key")
    assert all(b"answered in call 2" in read_all(sock) for sock in waiting)
    assert site.wakes.waiting() == 0


def test_of_the_many_that_a_change_wakes_a_few_look_at_a_time(site: Site) -> None:
    waiting = [site.connect(30) for _ in range(20)]
    for sock in waiting:
        sock.sendall(b"GET /wait?s=20&work=0.02 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    until(lambda: site.wakes.waiting() == 20)
    site.wakes.tell("key")
    assert all(b"answered in call 2" in read_all(sock) for sock in waiting)
    assert max(int(entry.removeprefix("looking: ")) for entry in site.seen) <= LOOKS_AT_ONCE


def test_a_wait_ends_with_its_time(site: Site) -> None:
    began = time.monotonic()
    assert b"answered in call 2" in site.get("/wait?s=0.5")
    assert 0.4 < time.monotonic() - began < 3


def test_a_key_that_is_told_between_the_look_and_the_wait_is_not_missed(site: Site) -> None:
    since = site.wakes.sequence
    site.wakes.tell("key")
    woken = threading.Event()
    site.wakes.add("key", since, woken.set)
    assert woken.is_set()


def test_the_drain_answers_every_request_that_waits(site: Site) -> None:
    waiting = [site.connect(30) for _ in range(20)]
    for sock in waiting:
        sock.sendall(b"GET /wait?s=20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    until(lambda: site.wakes.waiting() == 20)
    site.wakes.stop()
    assert all(b"answered" in read_all(sock) for sock in waiting)


def test_half_a_header_holds_no_thread_and_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADERS_S", 1.0)
    halves = [site.connect() for _ in range(MANY)]
    for sock in halves:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost:")
    assert b"alive" in site.get("/livez")
    assert all(read_all(sock) in (b"", b"<reset>") for sock in halves)


def test_half_a_body_holds_no_thread_and_is_answered_with_408(site: Site) -> None:
    halves = [site.connect() for _ in range(MANY)]
    for sock in halves:
        sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf")
    assert b"slept" in site.get("/slow?s=0.01")
    assert all(sock.recv(100).startswith(b"HTTP/1.1 408") for sock in halves)


def test_an_upload_that_goes_quiet_gives_its_place_to_another(site: Site, limits: Limits) -> None:
    quiet = [site.connect() for _ in range(limits.upload_slots)]
    for sock in quiet:
        sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + bytes(2**19))
    time.sleep(limits.slot_quiet_s + 0.2)
    body = bytes(2**21)
    assert hashlib.sha256(body).hexdigest().encode() in upload(site, body)
    until(lambda: "broken: overloaded" in site.seen)  # to be tried again: its client did nothing wrong


def test_an_upload_arrives_whole_while_its_view_reads_it(site: Site) -> None:
    body = bytes(range(256)) * 2**14
    assert f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode() in upload(site, body)


def test_an_upload_whose_client_leaves_breaks_in_its_view(site: Site) -> None:
    with site.connect() as sock:
        sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + bytes(2**19))
    until(lambda: any(entry.startswith("broken: ") for entry in site.seen))


@pytest.mark.parametrize("size", [10, 2**20])
def test_a_client_that_ends_its_body_early_and_still_reads_is_told_so(site: Site, size: int) -> None:
    with site.connect() as sock:
        sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + bytes(size))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(2**16).startswith((b"HTTP/1.1 400", b"HTTP/1.1 408"))


def test_a_body_over_the_limit_is_refused_before_it_is_read_as_a_problem(site: Site) -> None:
    answer = b""
    with site.connect() as sock:
        sock.sendall(b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 300000000\r\n\r\n")
        answer = sock.recv(2**16)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in answer
    assert b"request_too_large" in answer


def test_a_chunked_body_over_the_limit_is_refused(site: Site) -> None:
    with site.connect() as sock:
        sock.sendall(b"POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            sock.sendall(b"10000\r\n" + bytes(2**16) + b"\r\n")
        assert sock.recv(2**16).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_a_request_that_its_headers_refuse_is_answered_before_its_body_comes(site: Site, expect: str) -> None:
    with site.connect() as sock:
        sock.sendall(f"POST /refuse HTTP/1.1\r\nHost: x\r\n{expect}Content-Length: 1000000\r\n\r\n".encode())
        assert sock.recv(2**16).startswith(b"HTTP/1.1 401")


def test_a_body_that_passes_is_asked_for(site: Site) -> None:
    with site.connect() as sock:
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        sock.sendall(head)
        assert sock.recv(2**16).startswith(b"HTTP/1.1 100")
        sock.sendall(b"body")
        assert sock.recv(2**16).startswith(b"HTTP/1.1 200")


def test_a_request_without_a_host_is_refused(site: Site) -> None:
    assert site.ask("GET /livez HTTP/1.1\nConnection: close\n\n").startswith(b"HTTP/1.1 400")


def test_an_early_refusal_reaches_a_client_that_is_still_sending(site: Site) -> None:
    with site.connect() as sock:
        sock.sendall(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n")
        for _ in range(128):
            sock.sendall(bytes(2**16))
        assert sock.recv(2**16).startswith(b"HTTP/1.1 401")
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")  # the connection is still in step
        assert b"alive" in sock.recv(2**16)


def test_an_answer_that_is_not_read_holds_no_thread_and_is_cut(site: Site) -> None:
    unread = [site.connect() for _ in range(12)]
    for sock in unread:
        sock.sendall(b"GET /stream?blocks=50 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"slept" in site.get("/slow?s=0.01")
    until(lambda: site.seen.count("stream closed") == len(unread))
    assert all(not read_all(sock).endswith(b"0\r\n\r\n") for sock in unread)


def test_of_too_many_streams_that_are_not_read_the_last_are_refused_at_once(
    site: Site, limits: Limits
) -> None:
    many = limits.stream_slots + EXPORTS_WAITING + 20
    unread = [site.connect(2) for _ in range(many)]
    for sock in unread:
        sock.sendall(b"GET /stream?blocks=50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    began = time.monotonic()
    assert b"alive" in site.get("/livez")
    refused = 0
    for sock in unread:
        with contextlib.suppress(TimeoutError):
            refused += sock.recv(12) == b"HTTP/1.1 503"
    assert refused >= 20
    assert time.monotonic() - began < 10


def test_a_stream_that_is_not_read_gives_its_place_to_another(site: Site, limits: Limits) -> None:
    for _ in range(limits.stream_slots):
        site.connect().sendall(b"GET /stream?blocks=200 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(limits.slot_quiet_s + 0.3)
    assert site.get("/stream?blocks=3", 30).endswith(b"0\r\n\r\n")


def test_clients_that_leave_before_their_export_begins_cost_nothing(
    site: Site, limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    ask = b"GET /results?blocks=50 HTTP/1.1\r\nHost: x\r\n\r\n"
    readers = [site.connect() for _ in range(limits.stream_slots)]
    for sock in readers:
        sock.sendall(ask)
    until(lambda: site.seen.count("stream asked for") == len(readers))
    for _ in range(EXPORTS_WAITING):
        with site.connect() as sock:
            sock.sendall(ask)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for sock in readers:
        sock.close()
    until(lambda: site.seen.count("stream closed") == len(readers))
    time.sleep(0.3)  # those who wait look for a place every 0.05 s
    assert site.get("/results?blocks=1").endswith(b"0\r\n\r\n")
    assert site.seen.count("stream asked for") == len(readers) + 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_body_that_drips_is_refused(site: Site, limits: Limits) -> None:
    with site.connect(30) as sock:
        sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        ends_at = time.monotonic() + limits.quiet_s + 5
        sock.settimeout(0.2)
        answer = b""
        while not answer and time.monotonic() < ends_at:
            sock.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = sock.recv(2**16)
        assert answer.startswith(b"HTTP/1.1 408")


def test_a_connection_ends_soon_after_an_answer_whose_body_never_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 0.5)
    with site.connect() as sock:
        sock.sendall(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        began = time.monotonic()
        assert read_all(sock).startswith(b"HTTP/1.1 401")
        assert time.monotonic() - began < 5


def test_a_stream_that_breaks_does_not_end_like_a_whole_one(site: Site) -> None:
    answer = site.get("/broken-stream")
    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")


def test_events_wait_between_two_blocks_without_a_thread(site: Site) -> None:
    streams = [site.connect(30) for _ in range(MANY)]
    for sock in streams:
        sock.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    for _ in range(3):
        until(lambda: site.wakes.waiting() == MANY)
        assert b"alive" in site.get("/livez")
        site.wakes.tell("events")
        time.sleep(0.3)
    assert all(b"id: 2" in read_all(sock) for sock in streams)


def test_too_many_requests_for_the_threads_are_answered_at_once(site: Site, limits: Limits) -> None:
    busy = [site.connect(30) for _ in range(limits.threads + limits.queued_requests + 50)]
    for sock in busy:
        sock.sendall(b"GET /slow?s=0.05 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = [read_all(sock) for sock in busy]
    refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
    assert refused
    assert all(b"retry-after" in answer for answer in refused)
    assert sum(b"slept" in answer for answer in answers) == len(busy) - len(refused)


def test_health_is_answered_while_every_thread_is_busy(site: Site, limits: Limits) -> None:
    busy = [site.connect(30) for _ in range(limits.threads * 2)]
    for sock in busy:
        sock.sendall(b"GET /slow?s=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    time.sleep(0.2)
    began = time.monotonic()
    assert b"alive" in site.get("/livez")
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "NONSENSE\n\n",
        "GET / HTTP/1.1\nContent-Length: x\n\n",
        "GET /" + "a" * 70_000 + " HTTP/1.1\nHost: x\n\n",
    ],
)
def test_a_broken_request_gets_a_problem_document(site: Site, text: str) -> None:
    answer = site.ask(text)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 414"))
    if not answer.startswith(b"HTTP/1.1 404"):
        assert b"application/problem+json" in answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"x-request-id: {json.loads(body)['request_id']}\r\n".encode() in head
        assert json.loads(body)["request_id"]


def upload(site: Site, body: bytes) -> bytes:
    with site.connect(30) as sock:
        sock.sendall(
            b"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        sock.sendall(body)
        return read_all(sock)


def until(condition: object, seconds: float = 15.0) -> None:
    """Wait until a condition holds; fails when it does not in time."""
    ends_at = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.02)


def chunked(site: Site, pieces: bytes, path: str = "/small") -> bytes:
    """POST these chunks, and what follows them, on a connection of its own."""
    with site.connect(20) as sock:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            sock.sendall(head.encode() + pieces)
        return read_all(sock)


def test_trailers_are_dropped_and_bounded(site: Site) -> None:
    assert b"2 bytes" in chunked(site, b"2\r\n{}\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
    began = time.monotonic()
    answer = chunked(site, b"2\r\n{}\r\n0\r\n" + 2**20 * b"X-A: a\r\n" + b"\r\n")
    assert b" 400 " in answer or answer in (b"", b"<reset>")
    assert time.monotonic() - began < 5
    assert b"alive" in site.get("/livez")


def test_a_body_in_tiny_chunks_is_refused(site: Site) -> None:
    assert b"3000 bytes" in chunked(site, 3000 * b"1\r\na\r\n" + b"0\r\n\r\n")
    answer = chunked(site, 100_000 * b"1\r\na\r\n" + b"0\r\n\r\n")
    assert b" 400 " in answer or answer in (b"", b"<reset>")
    assert b"alive" in site.get("/livez")
