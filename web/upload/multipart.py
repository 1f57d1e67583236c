"""Parses multipart/form-data (RFC 7578; RFC 2046, section 5.1) block by block, without copying content.

A body may hold ten thousand small images, so the calls for each part decide the cost: docs/decisions/0007 compares
this parser with two libraries, and a differential test holds it to one of them.
"""

import re
from collections.abc import Callable

from web.http.problems import HttpProblem
from web.upload import names

_MAX_HEADER = 2**14
_MAX_PADDING = 2**8
# The header that browsers and our client send, in one step; `_DISPOSITION` and `_PARAMETER` read the other forms.
_USUAL = re.compile(
    rb'Content-Disposition: form-data; name="([^"\\\r\n]+)"(?:; filename="([^"\\\r\n]*)")?'
    rb"(?:\r\nContent-Type: [^\r\n]*)?",
    re.IGNORECASE,
)
_DISPOSITION = re.compile(
    rb"^content-disposition[ \t]*:[ \t]*([^\r\n;]*)([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
_PARAMETER = re.compile(rb';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
# Some clients escape these two; browsers send a backslash as it is, and a quote as %22.
_ESCAPED = re.compile(rb'\\(["\\])')
_PADDING = re.compile(rb"[ \t]*\r\n")
_MAYBE_PADDING = re.compile(rb"(?:-|[ \t]*\r?)\Z")


class MultipartScanner:
    """Takes a body in blocks of any size; calls `begin(name, filename)`, `data(view)` any number of times and `end()`
    for each part. A body that is no multipart raises HttpProblem; `ended` says whether its last boundary has come."""

    def __init__(
        self,
        boundary: str,
        begin: Callable[[str, str], None],
        data: Callable[[memoryview], None],
        end: Callable[[], None],
        encoding: str = "",
    ) -> None:
        self._begin, self._data, self._end = begin, data, end
        self._encoding = encoding
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        # So that the first delimiter, at the very start of a body, looks like the others.
        self.rest = b"\r\n"
        self._read = self._start
        self.ended = False

    def feed(self, block: bytes) -> None:
        """The next bytes of the body. Bytes after the last boundary are ignored."""
        if self.rest:
            block, self.rest = self.rest + block, b""
        at = 0
        while at < len(block) and not self.ended:
            at = self._read(block, at)

    def _start(self, block: bytes, at: int) -> int:
        """Nothing but line breaks may stand before the first boundary."""
        found = block.find(self._delimiter)
        before = (block if found < 0 else block[:found]).lstrip(b"\r\n")
        if before and (found >= 0 or not self._delimiter[2:].startswith(before)):
            raise _malformed("it does not begin with its boundary")
        if found < 0:
            return self._wait(block, max(at, len(block) - len(self._delimiter)))
        return self._boundary(block, found)

    def _header(self, block: bytes, at: int) -> int:
        end = block.find(b"\r\n\r\n", at, at + _MAX_HEADER)
        if end < 0:
            if len(block) - at >= _MAX_HEADER:
                raise _malformed("the header of a part is too long")
            return self._wait(block, at)
        self._begin(*_names(block, at, end, self._encoding))
        self._read = self._content
        return end + 4

    def _content(self, block: bytes, at: int) -> int:
        found = block.find(self._delimiter, at)
        sure = self._sure(block, at) if found < 0 else found
        if sure > at:
            self._data(memoryview(block)[at:sure])
        return self._wait(block, sure) if found < 0 else self._boundary(block, found)

    def _sure(self, block: bytes, at: int) -> int:
        """Where the sure content of the block ends. Its last bytes may begin a delimiter; a delimiter has a CR only as
        its first byte, so the last CR decides."""
        last = block.rfind(b"\r", max(at, len(block) - len(self._delimiter)))
        return last if last >= 0 and self._delimiter.startswith(block[last:]) else len(block)

    def _boundary(self, block: bytes, found: int) -> int:
        """Judge the delimiter at `found`: it begins a part, ends the body, or is content after all."""
        at = found + len(self._delimiter)
        if block.startswith(b"\r\n", at):
            return self._next_part(at + 2)
        if block.startswith(b"--", at):
            self._next_part(at)
            self.ended = True
            return len(block)
        if padding := _PADDING.match(block, at, at + _MAX_PADDING):
            return self._next_part(padding.end())
        if len(block) - at < _MAX_PADDING and _MAYBE_PADDING.match(block, at):
            return self._wait(block, found)
        if self._read == self._start:
            raise _malformed("its first boundary does not end its line")
        self._data(memoryview(block)[found:at])
        return at

    def _next_part(self, at: int) -> int:
        if self._read == self._content:
            self._end()
        self._read = self._header
        return at

    def _wait(self, block: bytes, at: int) -> int:
        """Keep the bytes from `at` on until the next block decides what they are."""
        self.rest = block[at:]
        return len(block)


def _names(block: bytes, at: int, end: int, encoding: str) -> tuple[str, str]:
    """(name, filename) from the header of a part; an empty filename if it has none."""
    usual = _USUAL.fullmatch(block, at, end)
    if usual:
        name, filename = usual.groups()
        extended = None
    else:
        name, filename, extended = _unusual_names(block[at:end])
    return name.decode(errors="replace"), names.of_part(filename, extended, encoding)


def _unusual_names(header: bytes) -> tuple[bytes, bytes | None, bytes | None]:
    """`name`, `filename` and `filename*`."""
    if header.count(b"\n") != header.count(b"\r\n"):
        raise _malformed("a header of a part has a bare line feed")
    found = _DISPOSITION.findall(header)
    if len(found) > 1:  # parsers disagree which one counts, so a proxy may have checked the other
        raise _malformed("a part has two Content-Disposition headers")
    parameters: dict[bytes, bytes] = {}
    kind, rest = found[0] if found else (b"", b"")
    for key, quoted, plain in _PARAMETER.findall(rest) if kind.strip().lower() == b"form-data" else ():
        parameters.setdefault(key.lower(), _ESCAPED.sub(rb"\1", quoted) or plain)
    if not parameters.get(b"name") or header.startswith(b"\r\n"):
        raise _malformed("a part has no name")
    extended = parameters.get(b"filename*")
    if extended is None and any(key.startswith(b"filename*") for key in parameters):
        extended = b""  # a name in pieces, as in RFC 2231; RFC 7578 has none
    return parameters[b"name"], parameters.get(b"filename"), extended


def _malformed(detail: str) -> HttpProblem:
    return HttpProblem(400, "malformed_multipart", f"the multipart body is broken: {detail}")
