"""A request's body in blocks, and the facts of its header."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from flask import Request

BLOCK = 2**17


@dataclass(frozen=True, slots=True)
class Body:
    """The body of one request and the facts of its header. `length` is None for a chunked body."""

    stream: IO[bytes]
    length: int | None
    media_type: str
    boundary: str | None

    @classmethod
    def of(cls, request: Request) -> "Body":
        boundary = request.mimetype_params.get("boundary")
        return cls(request.stream, request.content_length, request.mimetype, boundary)


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """The body to its end, or to the place where the client broke off."""
    while block := stream.read(BLOCK):
        yield block
