"""Our multipart parser and the library `multipart` agree on every body that both accept.

Bodies are random compositions of the pieces that make parsers differ. The two disagree on purpose in three points,
each listed in `DELIBERATE`; any other difference fails.
"""

from typing import Any

import multipart as library
from hypothesis import example, given
from hypothesis import strategies as st

from web.http.problems import HttpProblem
from web.upload.multipart import MultipartScanner

Part = tuple[str, str, bytes]
# The library refuses, and we read on, since RFC 2046 allows it or since it does no harm.
WE_ACCEPT = (
    "Unexpected bytes after boundary",  # spaces after a boundary; a line that only begins like one is content
    "Unexpected byte after first boundary",  # spaces again
    "Malformed segment header",  # a header line that is not read
)
# We refuse, and the library reads on.
WE_REFUSE = ("a part has no name", "two Content-Disposition headers")
LINES = [
    b'Content-Disposition: form-data; name="images"; filename="a.jpg"',
    b'content-disposition: form-data; filename="b c.png"; name="images"',
    b'Content-Disposition: form-data; name="options"',
    b"Content-Disposition: form-data; name=images; filename=a.jpg",
    b'Content-Disposition: attachment; name="images"',
    b'Content-Disposition: form-data; name=""',
    b"Content-Type: image/jpeg",
    b"X-Long: " + b"x" * 300,
    b"no colon",
]
CONTENTS = [b"\r\n--edge", b"\r\n--edgy", b"--edge--", b"\r\n", b"\r", b"\n", b"\0", b"-", b"x" * 99]

headers = st.lists(st.sampled_from(LINES), min_size=1, max_size=3).map(b"\r\n".join)
contents = st.lists(st.sampled_from(CONTENTS), max_size=6).map(b"".join)
parts = st.tuples(headers, contents).map(
    lambda part: b"--edge\r\n" + part[0] + b"\r\n\r\n" + part[1] + b"\r\n"
)
endings = st.sampled_from([b"--edge--\r\n", b"--edge--", b"--edge--\r\nepilogue", b"--edge-", b"--edge", b""])
bodies = st.tuples(st.lists(parts, max_size=4).map(b"".join), endings).map(b"".join)


def ours(body: bytes, size: int) -> tuple[list[Part], bool] | str:
    """The parts, and whether the body ended; or the reason of a refusal."""
    seen: list[Part] = []

    def data(view: memoryview) -> None:
        name, filename, before = seen[-1]
        seen[-1] = (name, filename, before + view)

    scanner = MultipartScanner(
        "edge", lambda name, filename: seen.append((name, filename, b"")), data, lambda: None
    )
    try:
        for at in range(0, len(body), size):
            scanner.feed(body[at : at + size])
    except HttpProblem as problem:
        return problem.detail
    return seen, scanner.ended


def theirs(body: bytes, size: int) -> tuple[list[Part], bool] | str:
    """The same of the library."""
    seen: list[Part] = []
    parser = library.PushMultipartParser("edge", max_header_size=2**14)
    try:
        for at in range(0, len(body), size):
            for event in parser.parse(body[at : at + size]) if not parser.closed else ():
                _add(seen, event)
    except library.MultipartError as error:
        return str(error)
    return seen, parser._state == library._COMPLETE


def _add(seen: list[Part], event: Any) -> None:
    if isinstance(event, library.MultipartSegment):
        seen.append((event.name, event.filename or "", b""))
    elif event is not None:
        name, filename, before = seen[-1]
        seen[-1] = (name, filename, before + bytes(event))


@given(bodies, st.integers(1, 500))
@example(b"--edge\r\n" + LINES[0] + b"\r\n\r\nx\r\n--edge--\r\n", 7)
def test_both_parsers_see_the_same_parts(body: bytes, size: int) -> None:
    mine, other = ours(body, size), theirs(body, size)
    if isinstance(mine, str):
        whole_elsewhere = not isinstance(other, str) and other[1]
        assert not whole_elsewhere or any(reason in mine for reason in WE_REFUSE), (mine, other)
    elif isinstance(other, str):
        assert not mine[1] or any(reason in other for reason in WE_ACCEPT), (mine, other)
    elif mine[1] or other[1]:
        assert mine == other


def test_both_parsers_accept_a_usual_body() -> None:
    """Without this, the test above would pass if both refused everything."""
    body = b"--edge\r\n" + LINES[0] + b"\r\n\r\nx\r\n--edge\r\n" + LINES[2] + b"\r\n\r\n{}\r\n--edge--\r\n"
    expected = ([("images", "a.jpg", b"x"), ("options", "", b"{}")], True)
    for size in (1, 7, len(body)):
        assert ours(body, size) == theirs(body, size) == expected
