"""A request's body in blocks, and the facts of its header."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from flask import Request
from werkzeug.exceptions import HTTPException

from shared.errors import GonogoError
from web.http.problems import HttpProblem

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
    """The body to its end. Raises 400 if it breaks off, or if its chunks are malformed.

    Some servers show a body that ends early as one that is whole; the caller has to see that it is.
    """
    while True:
        # Only the server's reader runs inside the edge, not the consumer of the blocks.
        try:
            block = stream.read(BLOCK)
        except (HTTPException, GonogoError, MemoryError):
            raise
        except Exception as error:
            detail = "the body broke off, or its chunks are malformed"
            raise HttpProblem(400, "incomplete_body", detail) from error
        if not block:
            return
        yield block
