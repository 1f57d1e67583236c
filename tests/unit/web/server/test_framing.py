"""A request that is framed in an odd way is refused before anything reads it."""

import contextlib

import pytest

from tests.unit.web.server.conftest import Site, read_all


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("Host: x\nHost: y\n", 400),
        ("Accept: */*\n", 400),
        ("Host: a b\n", 400),
        ("Host: <x>\n", 400),
        ("Host: x/y\n", 400),
        ("Host: user@x\n", 400),
        ("Host: x:y\n", 400),
        ('Host: x"\n', 400),
        ("Host: x\nTransfer-Encoding: gzip, chunked\n", 400),
        ("Host: x\nContent-Encoding: gzip\nContent-Length: 0\n", 415),
        ("Host: x\nExpect: something\n", 417),
    ],
)
def test_a_request_that_two_servers_could_read_in_two_ways_is_refused(
    site: Site, fields: str, status: int
) -> None:
    answer = site.ask(f"POST /small HTTP/1.1\n{fields}Connection: close\n\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer


@pytest.mark.parametrize("host", ["x", "X.example.:8000", "under_score", "127.0.0.1:80", "[::1]:8000", ""])
def test_a_host_in_any_usual_spelling_is_taken(site: Site, host: str) -> None:
    assert b"alive" in site.ask(f"GET /livez HTTP/1.1\nHost: {host}\nConnection: close\n\n")


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/livez", "X-A: a\n" * 300, 431),
        ("/livez", f"X-A: {'a' * 70_000}\n", 431),
        ("/livez", f"X-A: {'a' * 8_000}\n" * 12, 431),
        ("/livez", f"X-A: {'a' * 900_000}\n", 431),
        (f"/livez?q={'a' * 70_000}", "", 414),
        (f"/livez?q={'a' * 900_000}", "", 414),
        ("/livez", f"X-A: {'a' * 8_000}\n" * 7, 200),
        (f"/livez?q={'a' * 60_000}", "", 200),
    ],
)
def test_headers_that_are_too_long_are_told_so_and_no_longer_than_that(
    site: Site, target: str, fields: str, status: int
) -> None:
    """Each in one piece: a loop of 256 kB must not let through what smaller reads refuse."""
    with site.connect() as sock:
        request = f"GET {target} HTTP/1.1\nHost: x\nConnection: close\n{fields}\n".replace("\n", "\r\n")
        with contextlib.suppress(ConnectionError):
            sock.sendall(request.encode())
        answer = read_all(sock)
    if len(request) > 2**18 and answer in (b"", b"<reset>"):
        return  # the client was still sending when the server closed, and lost the answer
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert (b'"headers_too_large"' in answer) == (status != 200)
