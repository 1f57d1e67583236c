"""A multipart body in blocks of any size comes out as the parts that were put in, or is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.http.problems import HttpProblem
from web.upload.multipart import MultipartScanner

Part = tuple[str, str, bytes]
BOUNDARY = "edge"
# Bytes that content may share with a delimiter, so that random contents come close to one.
PIECES = [
    b"\r\n--edge",
    b"\r\n--edgy",
    b"\r\n--edge-",
    b"\r\n--",
    b"\r\n",
    b"\r",
    b"\n",
    b"-",
    b"edge",
    b"\0",
    b"a" * 99,
]


class Seen:
    """The parts that a scanner told of."""

    def __init__(self, boundary: str = BOUNDARY) -> None:
        self.parts: list[Part] = []
        self.open = False
        self.scanner = MultipartScanner(boundary, self.begin, self.data, self.end)

    def begin(self, name: str, filename: str) -> None:
        assert not self.open
        self.open = True
        self.parts.append((name, filename, b""))

    def data(self, data: memoryview) -> None:
        assert self.open and len(data)
        name, filename, before = self.parts[-1]
        self.parts[-1] = (name, filename, before + data)

    def end(self) -> None:
        assert self.open
        self.open = False


def scan(body: bytes, size: int | None = None) -> Seen:
    seen = Seen()
    for at in range(0, len(body), size or max(1, len(body))):
        seen.scanner.feed(body[at : at + size] if size else body)
    return seen


def written(parts: list[Part]) -> bytes:
    body = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\nContent-Type: image/jpeg\r\n\r\n%b\r\n'
        % (name.encode(), filename.encode(), data)
        for name, filename, data in parts
    )
    return body + b"--edge--\r\n"


# A line that begins like a delimiter and goes on is content.
contents = (
    st.lists(st.sampled_from([*PIECES[1:], b"\r\n--edges"]), max_size=8)
    .map(b"".join)
    .filter(lambda content: not re.search(rb"\r\n--edge(?:--|[ \t]*\r\n)", content + b"\r\n"))
)
names = st.sampled_from(["a.jpg", "", "Größe 2.png", "a; b=c.tif"])


@given(st.lists(st.tuples(st.just("images"), names, contents), max_size=5), st.integers(1, 120))
def test_parts_come_out_as_they_were_put_in_however_the_body_is_cut(parts: list[Part], size: int) -> None:
    seen = scan(written(parts), size)
    assert seen.parts == parts
    assert seen.scanner.ended
    assert not seen.open


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), st.integers(1, 40))
def test_how_a_body_is_cut_changes_nothing(rest: bytes, size: int) -> None:
    body = b'--edge\r\nContent-Disposition: form-data; name="images"\r\n\r\n' + rest

    def outcome(size: int | None) -> tuple[object, ...]:
        try:
            seen = scan(body, size)
        except HttpProblem as problem:
            return (problem.detail,)
        return (
            (seen.parts[0][2] if seen.parts else None, len(seen.parts), seen.scanner.ended)
            if seen.scanner.ended
            else ()
        )

    assert outcome(size) == outcome(None)


@pytest.mark.parametrize(
    ("header", "name", "filename"),
    [
        (b'Content-Disposition: form-data; name="images"; filename="a.jpg"', "images", "a.jpg"),
        (b'content-disposition:form-data;filename="a.jpg";name="images"', "images", "a.jpg"),
        (b"Content-Disposition: form-data; name=images; filename=a.jpg", "images", "a.jpg"),
        (b'Content-Type: image/png\r\nContent-Disposition: form-data; name="images"', "images", ""),
        (b'X-A: b\r\nContent-Disposition: form-data; name="images"; filename="\\"a\\".jpg"', "images", '"a".jpg'),
        (b'Content-Disposition: form-data; name="images"; filename="C:\\parts\\a.jpg"', "images", "C:\\parts\\a.jpg"),
        (b"Content-Disposition: form-data; name=images; filename=a.jpg; filename*=UTF-8''b.jpg", "images", "b.jpg"),
        (b'Content-Disposition: form-data; name="images"; filename="\xff.jpg"', "images", "ÿ.jpg"),
        (b'Content-Disposition: form-data; name="images"; filename=""', "images", ""),
    ],
)  # fmt: skip
def test_the_names_of_a_part_are_read_as_clients_write_them(header: bytes, name: str, filename: str) -> None:
    seen = scan(b"--edge\r\n" + header + b"\r\n\r\nx\r\n--edge--")
    assert seen.parts == [(name, filename, b"x")]


@pytest.mark.parametrize(
    "body",
    [
        b"no boundary here, whatever comes",
        b"text before\r\n--edge\r\n",
        b"--edgy\r\n",
        b"--edge and more\r\n",
        b"--edge\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\n\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--edge--\r\n",
        b'--edge\r\nContent-Disposition: form-data; name=""\r\n\r\nx\r\n--edge--\r\n',
        b'--edge\r\nContent-Disposition: form-data; filename="a"\r\n\r\nx\r\n--edge--\r\n',
        b'--edge\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n--edge--\r\n',
        b"--edge\r\nContent-Disposition: form-data; name=images; filename*=nonsense''b.jpg\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\nContent-Disposition: form-data; name=images; filename*0=a; filename*1=b\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [None, 1])
def test_what_is_no_multipart_is_refused(body: bytes, size: int | None) -> None:
    with pytest.raises(HttpProblem) as refused:
        scan(body, size)
    assert (refused.value.status, refused.value.code) == (400, "malformed_multipart")


@pytest.mark.parametrize("size", [None, 1])
def test_line_breaks_before_padding_after_and_an_epilogue_are_allowed(size: int | None) -> None:
    body = b'\r\n\r\n--edge \t\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--edge  \r\n'
    body += b'Content-Disposition: form-data; name="b"\r\n\r\n\r\n--edge--\r\nGood bye\r\n--edge\r\n'
    seen = scan(body, size)
    assert seen.parts == [("a", "", b"x"), ("b", "", b"")]
    assert seen.scanner.ended


def test_line_breaks_without_end_are_not_kept() -> None:
    seen = Seen()
    for _ in range(1000):
        seen.scanner.feed(b"\r\n" * 500)
    assert len(seen.scanner.rest) < 100
    seen.scanner.feed(b"--edge--")
    assert seen.scanner.ended


def test_a_body_without_parts_ends() -> None:
    seen = scan(b"--edge--\r\n")
    assert (seen.parts, seen.scanner.ended) == ([], True)


def test_content_that_lies_within_one_block_is_not_copied() -> None:
    views: list[memoryview] = []
    scanner = MultipartScanner(BOUNDARY, lambda *_: None, views.append, lambda: None)
    scanner.feed(b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\n')
    block = b"x" * 1000
    scanner.feed(block)
    assert views[0].obj is block
