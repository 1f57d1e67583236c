"""Request bodies: small ones whole, large ones through a pipe from the event loop to the thread of a view."""

import asyncio
import threading
from collections import deque

from shared.errors import GonogoError

_MOST_BUFFERED = 2**20


class BodyBroken(GonogoError):
    """The body broke off before its end."""

    code = "incomplete_body"


class BodyTooSlow(BodyBroken):
    """The body stopped coming, or came too slowly."""

    code = "body_too_slow"


class ClientGone(Exception):
    """The client has left, or does not read."""


class BodyPipe:
    """A bounded pipe. The event loop feeds it; one thread reads it as `wsgi.input`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._blocks: deque[bytes] = deque()
        self._buffered = 0
        self._changed = threading.Condition()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._ended = False
        self._trouble: GonogoError | None = None

    # For the event loop

    async def feed(self, block: bytes) -> None:
        """Add a block; waits while the thread is behind."""
        with self._changed:
            self._blocks.append(block)
            self._buffered += len(block)
            if self._buffered > _MOST_BUFFERED:
                self._has_room.clear()
            self._changed.notify()
        await self._has_room.wait()

    def end(self) -> None:
        """The body is whole."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def break_off(self, trouble: GonogoError) -> None:
        """Let the next read raise this error."""
        with self._changed:
            self._trouble = trouble
            self._changed.notify()
        self._has_room.set()

    # For the thread

    def read(self, most: int = -1) -> bytes:
        """The next bytes, at most `most` of them; empty at the end. Raises the error that broke it off."""
        if most < 0:
            return b"".join(iter(lambda: self.read(2**20), b""))
        with self._changed:
            while not self._blocks and not self._ended and self._trouble is None:
                self._changed.wait()
            if self._trouble is not None:
                raise self._trouble
            if not self._blocks:
                return b""
            block = self._blocks.popleft()
            if len(block) > most:
                self._blocks.appendleft(block[most:])
                block = block[:most]
            self._buffered -= len(block)
            wake = self._buffered <= _MOST_BUFFERED // 2 and not self._has_room.is_set()
        if wake:
            self._loop.call_soon_threadsafe(self._has_room.set)
        return block

    def readline(self, most: int = -1) -> bytes:
        """PEP 3333 asks for it; no view reads a body by lines."""
        raise NotImplementedError("bodies are read in blocks")

    readlines = __iter__ = readline
