"""A bounded number of transfers at a time: a transfer that has stopped gives its place up to a new one."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from web.server.refusals import Refusal

_LOOK_EVERY_S = 0.05


@dataclass(eq=False)
class Transfer:
    """A transfer under way. `moved_at` is when bytes last went through; `give_up` ends it from outside."""

    give_up: Callable[[], None]
    moved_at: float = field(default_factory=time.monotonic)
    sent: int = 0  # bytes of an answer

    def moved(self, sent: int = 0) -> None:
        """Bytes went through, and the next ones are up to the client."""
        self.moved_at = time.monotonic()
        self.sent += sent

    def working(self) -> None:
        """The next bytes are up to the server, however long it takes: a slow disk is no reason to cut a client off."""
        self.moved_at = math.inf


class Slots:
    """At most `most` transfers at a time, and at most `waiting` that wait for a place.

    A transfer that begins may cost work. So a quiet one is replaced once in `replace_every_s` at most: thousands of
    clients that do not read would else take each other's places, and each would be served its beginning.
    """

    def __init__(
        self, most: int, quiet_s: float, waiting: int, replace_every_s: float = 0.0, wait_s: float = 2.0
    ) -> None:
        """A transfer waits `wait_s` seconds for a place."""
        self._most, self._quiet_s, self._may_wait = most, quiet_s, waiting
        self._looks = round(wait_s / _LOOK_EVERY_S)
        self._replace_every_s, self._replaced_at = replace_every_s, -math.inf
        self._held: set[Transfer] = set()
        self._waiting = 0

    async def take(self, transfer: Transfer) -> None:
        """A place for the transfer: a free one, or that of the transfer that has been quiet for longest, if that is
        longer than `quiet_s`. Raises Refusal 503 where none comes free, or too many wait already."""
        if self._waiting >= self._may_wait and len(self._held) >= self._most:
            raise self._refusal()
        self._waiting += 1
        try:
            for _ in range(self._looks):
                if len(self._held) < self._most:
                    transfer.moved()  # its time in the place begins now
                    self._held.add(transfer)
                    return
                quietest, now = min(self._held, key=lambda other: other.moved_at), time.monotonic()
                is_due = now - self._replaced_at >= self._replace_every_s
                if is_due and now - quietest.moved_at > self._quiet_s:
                    self._replaced_at = now
                    self._held.discard(quietest)
                    quietest.give_up()
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            self._waiting -= 1
        raise self._refusal()

    @staticmethod
    def _refusal() -> Refusal:
        return Refusal(503, "overloaded", "too many transfers at once", retry_after_s=2)

    def leave(self, transfer: Transfer) -> None:
        """The transfer has ended."""
        self._held.discard(transfer)


class Turns:
    """At most `most` at a time for each key. A key that is not in use is forgotten: each batch that a request waits
    for is one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, tuple[asyncio.Semaphore, int]] = {}  # with how many hold or await it

    @contextlib.asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        turn, users = self._held.get(key) or (asyncio.Semaphore(self._most), 0)
        self._held[key] = turn, users + 1
        try:
            async with turn:
                yield
        finally:
            turn, users = self._held.pop(key)
            if users > 1:
                self._held[key] = turn, users - 1

    def __len__(self) -> int:
        return len(self._held)
