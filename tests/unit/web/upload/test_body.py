"""A body is read in blocks; whatever the server's reader raises for a broken one is the client's error."""

import io
from typing import IO, cast

import pytest
from werkzeug.exceptions import ClientDisconnected

from shared.errors import Unavailable
from web.http.problems import HttpProblem
from web.server.bodies import BodyBroken
from web.upload.body import BLOCK, blocks


class Breaking(io.RawIOBase):
    """A stream that gives one block and then raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error, self._given = error, False

    def read(self, _size: int = -1, /) -> bytes:
        if self._given:
            raise self._error
        self._given = True
        return b"x"


def test_a_body_comes_whole() -> None:
    data = bytes(3 * BLOCK + 17)
    assert b"".join(blocks(io.BytesIO(data))) == data


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("no chunk size")])
def test_a_body_that_breaks_off_is_the_clients_error(error: Exception) -> None:
    received = blocks(cast(IO[bytes], Breaking(error)))
    assert next(received) == b"x"
    with pytest.raises(HttpProblem) as refused:
        next(received)
    assert (refused.value.status, refused.value.code) == (400, "incomplete_body")


@pytest.mark.parametrize(
    "error", [BodyBroken("the client left"), ClientDisconnected(), Unavailable("away"), MemoryError()]
)
def test_errors_that_are_answers_already_pass_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(blocks(cast(IO[bytes], Breaking(error))))


def test_an_error_of_the_consumer_is_its_own() -> None:
    with pytest.raises(OSError, match="disk"):
        for _ in blocks(io.BytesIO(b"x")):
            raise OSError("disk")
