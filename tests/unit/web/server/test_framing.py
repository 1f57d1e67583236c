"""A request that is framed in an odd way is refused before anything reads it."""

import pytest

from tests.unit.web.server.conftest import Site


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
        ("Host: x\n" + "X-A: a\n" * 300, 400),
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
