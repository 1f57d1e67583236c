"""Bodies before a view runs: their deadlines, and the memory that all of them take together.

A body that is given up gets an answer, so that its client knows that a later try may succeed.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

from web.server.asgi import Receive
from web.server.bodies import ClientGone
from web.server.refusals import Refusal

LEAST_BYTES_PER_S = 200  # of a body, on average: a byte now and then would hold a place for ever


class Room:
    """Bytes of bodies in memory. Ten thousand strangers may each send 64 kB before a key is asked for: the body that
    has been quiet for longest makes room for one that moves."""

    def __init__(self, most: int, quiet_s: float) -> None:
        """`most` bytes; a body without a new byte for `quiet_s` seconds is quiet."""
        self._most, self._quiet_s = most, quiet_s
        self._bytes = 0
        self._arriving: OrderedDict[Held, None] = OrderedDict()  # the one that moved last at the end

    def hold(self) -> "Held":
        """A place for a body."""
        return Held(self)

    def held(self) -> int:
        """The bytes in memory now."""
        return self._bytes

    def add(self, body: "Held", size: int) -> None:
        """Count bytes of a body that arrives. Raises Refusal 503 where all bodies in memory move."""
        self._bytes += size
        body.size += size
        body.moved_at = time.monotonic()
        self._arriving[body] = None
        self._arriving.move_to_end(body)
        while self._bytes > self._most:
            quietest = next(iter(self._arriving))
            if body.moved_at - quietest.moved_at < self._quiet_s:
                raise too_many()
            self.let_go(quietest)
            quietest.give_up()

    def keep(self, body: "Held") -> None:
        """The body waits for the server now, and no longer for its client: it makes room for none."""
        self._arriving.pop(body, None)

    def let_go(self, body: "Held") -> None:
        """The body is no longer in memory."""
        self._bytes -= body.size
        body.size = 0
        self._arriving.pop(body, None)


class Held:
    """The bytes of one body, counted until the end of the `with` statement."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.size, self.moved_at = 0, 0.0
        self.given_up = False
        self.waits: asyncio.Timeout | None = None  # for the next block

    def give_up(self) -> None:
        """Make room for another body: the wait for the next block ends with Refusal 503."""
        self.given_up = True
        if self.waits is not None:
            self.waits.reschedule(-math.inf)

    def add(self, size: int) -> None:
        """So many bytes came. Raises Refusal 503."""
        self._room.add(self, size)

    def keep(self) -> None:
        """The body is whole, or a view reads the rest of it."""
        self._room.keep(self)

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.let_go(self)


def too_many() -> Refusal:
    return Refusal(503, "overloaded", "too many bodies at once", retry_after_s=2)


async def blocks(protocol: Any, receive: Receive, quiet_s: float, held: Held) -> AsyncIterator[bytes]:
    """The blocks of a body. Raises Refusal where it goes quiet for `quiet_s` or had to make room, ClientGone where the
    client leaves."""
    began, received = time.monotonic(), 0
    while True:
        try:
            # Not wait_for: in Python 3.11 it loses a cancellation that meets the end of what it waits for.
            async with asyncio.timeout(quiet_s) as held.waits:
                message = await receive()
        except TimeoutError:
            if held.given_up:
                raise too_many() from None
            raise Refusal(408, "body_too_slow", "the body stopped coming") from None
        finally:
            held.waits = None
        if held.given_up:
            raise too_many()
        if message["type"] == "http.disconnect":
            raise ClientGone
        received += len(message["body"])
        took = time.monotonic() - began
        if took > quiet_s and received < LEAST_BYTES_PER_S * took:
            raise Refusal(
                408, "body_too_slow", f"the body came at less than {LEAST_BYTES_PER_S} bytes a second"
            )
        if message["body"]:
            yield message["body"]
        if not message["more_body"]:
            return
        if protocol.client_ended:
            raise Refusal(400, "incomplete_body", "the body ended before its length")
