"""An ASGI application that runs the Flask application in threads, and holds a thread only while there is work.

No thread is held while headers or a small body arrive, while a request waits (web/live/waits.py), or while a client
does not read its answer. A large body is the exception: its view reads it in a thread. Uploads therefore have slots of
their own, and an upload that has gone quiet gives its slot up when another one needs it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from wsgiref.types import WSGIEnvironment

from shared.errors import Unavailable
from web.live.waits import BRIDGED, PARKED, PASSED, PRECHECK, SEQUENCE, Parked, Wakes, slow_check_s
from web.server.answers import Answer
from web.server.asgi import Message, Receive, Scope, Send
from web.server.bodies import BodyBroken, BodyPipe, BodyTooSlow, ClientGone
from web.server.environ import environ_of
from web.server.framing import check_framing, content_length, expects_continue
from web.server.front import Front
from web.server.receiving import Held, Room, blocks
from web.server.refusals import Refusal, refuse
from web.server.slots import Slots, Transfer, Turns

WsgiApp = Callable[[WSGIEnvironment, Callable[..., Any]], Iterable[Any]]
log = logging.getLogger(__name__)

PROMPT_BYTES = 2**16  # a larger body is asked for once the headers have passed the checks that need no body
WHOLE_BYTES = 2**18  # a body up to this size is received before a thread begins
STREAMS_AT_ONCE = 4
# Bytes of an export in the hands of the system: few, until the client has shown that it reads.
UNSENT_AT_FIRST, UNSENT_BYTES, SHOWN_BYTES = 2**16, 2**19, 2**20
UPLOADS_WAITING, EXPORTS_WAITING = 2000, 16
# A hundred silent uploads hold the 32 places for three times two seconds, and an honest one waits behind them.
UPLOAD_WAIT_S = 15.0
EVENTS_AT_ONCE = 2  # streams of events that look at a time; each look is short
LOOKS_AT_ONCE = 2  # of those that wait for one key; a thousand that look at once keep everyone else waiting
HEALTH = {"/livez", "/readyz", "/metrics"}


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes after which the server gives a connection up, and how many threads it has."""

    threads: int = 64
    upload_slots: int = 32
    stream_slots: int = 64  # answers that are computed while they are sent; each holds two blocks in memory
    event_streams: int = 10_000  # open at a time; each holds some memory, and no thread while it waits
    small_body_bytes: int = 2**20  # on routes that do not stream their body
    held_bytes: int = 2**27  # of bodies in memory, all together
    quiet_s: float = 30.0  # between two blocks of a body
    slot_quiet_s: float = 2.0  # after which a transfer gives its slot up to another
    export_s: float = 0.5  # between two exports that begin in the place of a quiet one
    write_s: float = 30.0  # until the client has read what was sent
    queued_requests: int = 512  # that wait for a thread, over which the answer is 503


class Bridge:
    """`streams(method, path)` says whether the view of a route reads its body as it arrives."""

    def __init__(
        self,
        app: WsgiApp,
        wakes: Wakes,
        streams: Callable[[str, str], bool],
        limits: Limits | None = None,
        front: Front | None = None,
    ) -> None:
        self._app, self._wakes, self._streams, self._front = app, wakes, streams, front or Front()
        limits = self._limits = limits or Limits()
        self._threads = ThreadPoolExecutor(self._limits.threads, "request")
        self._upload_threads = ThreadPoolExecutor(self._limits.upload_slots, "upload")
        self._health_threads = ThreadPoolExecutor(2, "health")
        # Few: a block of a stream is computed, and many at once would keep the event loop from the interpreter.
        self._stream_threads = ThreadPoolExecutor(STREAMS_AT_ONCE, "stream")
        # Events have threads of their own, so that exports do not hold them up.
        self._event_threads = ThreadPoolExecutor(EVENTS_AT_ONCE, "events")
        self._event_turns = asyncio.Semaphore(EVENTS_AT_ONCE)
        self._event_streams = self._queued = 0
        self._uploads = Slots(
            self._limits.upload_slots, self._limits.slot_quiet_s, UPLOADS_WAITING, wait_s=UPLOAD_WAIT_S
        )
        # Each export that takes the place of a quiet one computes its first blocks: so few wait for a place.
        self._streams_out = Slots(limits.stream_slots, limits.slot_quiet_s, EXPORTS_WAITING, limits.export_s)
        self._turns = Turns(LOOKS_AT_ONCE)
        self._room = Room(limits.held_bytes, limits.slot_quiet_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", scope["type"]
        try:
            await self._serve(scope, receive, send)
        except Refusal as refusal:
            await self._write(scope, send, refuse(refusal, scope))
        except (BodyBroken, ClientGone):
            _cut(scope)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        check_framing(scope)
        self._front.place(scope)
        length = content_length(scope)
        chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
        if (length or 0) > PROMPT_BYTES or chunked or expects_continue(scope):
            refused = await self._precheck(scope)
            if refused is not None:
                await self._write(scope, send, refused)
                return
        if (length or 0) > WHOLE_BYTES or chunked:
            if self._streams(scope["method"], scope["path"]):
                await self._serve_upload(scope, receive, send)
                return
            if (length or 0) > self._limits.small_body_bytes:
                raise Refusal(
                    413, "request_too_large", f"this path takes {self._limits.small_body_bytes} bytes"
                )
        if scope["method"] == "GET" and scope["path"].endswith("/results"):
            await self._serve_export(scope, send)
            return
        with self._room.hold() as held:
            body = b""
            if length or chunked:
                body = await self._whole_body(scope["gonogo.protocol"], receive, held)
            await self._call_until_answered(scope, environ_of(scope, BytesIO(body)), send)

    async def _serve_export(self, scope: Scope, send: Send) -> None:
        """A stream of results: its place is taken before its view runs, and a few threads compute all of them."""
        transfer = Transfer(scope["gonogo.protocol"].abort)
        await self._streams_out.take(transfer)
        try:
            if scope["gonogo.protocol"].is_gone():  # it left while it waited for the place
                raise ClientGone
            # A block that the system takes for a client that does not read has been computed for nothing.
            scope["gonogo.protocol"].bound_unsent(UNSENT_AT_FIRST)
            answer = await self._call(self._stream_threads, environ_of(scope, BytesIO(b"")))
            await self._write(scope, send, answer, transfer)
        finally:
            self._streams_out.leave(transfer)

    async def _precheck(self, scope: Scope) -> Answer | None:
        """The answer to a request that its headers alone refuse, before its client has sent a body; else None."""
        environ = environ_of(scope, BytesIO(b""))
        environ[PRECHECK] = True
        answer = await self._call(self._threads, environ)
        return None if environ.get(PASSED) else answer

    async def _whole_body(self, protocol: Any, receive: Receive, held: Held) -> bytes:
        body = bytearray()
        async for block in blocks(protocol, receive, self._limits.quiet_s, held):
            held.add(len(block))
            body += block
            if len(body) > self._limits.small_body_bytes:
                raise Refusal(
                    413, "request_too_large", f"this path takes {self._limits.small_body_bytes} bytes"
                )
        held.keep()
        return bytes(body)

    async def _call_until_answered(self, scope: Scope, environ: WSGIEnvironment, send: Send) -> None:
        """Call the view, wait where it asks for that, and call it again."""
        pool = self._health_threads if scope["path"] in HEALTH else self._threads
        answer = await self._call(pool, environ)
        while (parked := environ.pop(PARKED, None)) is not None:
            await self._wait(parked, environ[SEQUENCE])
            async with self._turns.of(parked.key):
                answer = await self._call(pool, environ)
        await self._write(scope, send, answer)

    async def _call(self, pool: ThreadPoolExecutor, environ: WSGIEnvironment) -> Answer:
        """Call the view in a thread. Raises Refusal where too many requests wait for one; probes have their own."""
        if pool is self._health_threads:
            return await asyncio.get_running_loop().run_in_executor(pool, self._run, environ)
        if self._queued >= self._limits.threads + self._limits.queued_requests:
            raise Refusal(503, "overloaded", "too many requests at once", retry_after_s=1)
        self._queued += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._run, environ)
        finally:
            self._queued -= 1

    def _run(self, environ: WSGIEnvironment) -> Answer:
        environ[SEQUENCE], environ[BRIDGED] = self._wakes.sequence, True
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        body = self._app(environ, lambda status, headers, *_: begun.append((status, headers)))
        status, headers = begun[-1]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if isinstance(body, list):
            return Answer(int(status[:3]), encoded, body)
        if any(name == "Content-Length" for name, _ in headers):
            # A whole answer: taken here, while there is a thread.
            whole = list(body)
            close = getattr(body, "close", None)
            if close is not None:
                close()
            return Answer(int(status[:3]), encoded, whole)
        return Answer(int(status[:3]), encoded, body)

    async def _wait(self, parked: Parked, since: int) -> None:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(woken.set)

        self._wakes.add(parked.key, since, wake)
        try:
            await asyncio.sleep(max(0.0, parked.not_before - time.monotonic()))
            left = min(parked.until - time.monotonic(), slow_check_s(self._wakes.waiting()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left)):
                    await woken.wait()
        finally:
            self._wakes.discard(parked.key, wake)

    async def _write(
        self, scope: Scope, send: Send, answer: Answer, transfer: Transfer | None = None
    ) -> None:
        """Send an answer; a stream is read block by block, each in a thread, as fast as the client takes it.

        `transfer` has its place already.
        """
        send = self._bounded(send)
        if isinstance(answer.body, list):
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": b"".join(answer.body)})
            return
        has_place, transfer = transfer is not None, transfer or Transfer(scope["gonogo.protocol"].abort)
        # An event stream needs no place: it waits nearly all of its time, and holds no block then.
        is_events = answer.is_event_stream
        pool = self._event_threads if is_events else self._stream_threads
        self._event_streams += is_events
        try:
            if self._event_streams > self._limits.event_streams:
                raise Refusal(503, "overloaded", "too many streams of events at once", retry_after_s=10)
            if not has_place and not is_events:
                await self._streams_out.take(transfer)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await self._stream(scope, send, answer, transfer, pool)
        finally:
            self._event_streams -= is_events
            self._streams_out.leave(transfer)
            close = getattr(answer.body, "close", None)
            if close is not None:
                await asyncio.get_running_loop().run_in_executor(pool, close)

    async def _stream(
        self, scope: Scope, send: Send, answer: Answer, transfer: Transfer, pool: ThreadPoolExecutor
    ) -> None:
        loop, computed, since = asyncio.get_running_loop(), iter(answer.body), self._wakes.sequence
        while True:
            # A change wakes all the streams of its batch. They take turns, so that the loop serves others in between.
            async with self._event_turns if pool is self._event_threads else contextlib.nullcontext():
                transfer.working()
                block = await loop.run_in_executor(pool, next, computed, None)
            if block is None:
                break
            transfer.moved()
            if isinstance(block, Parked):
                await self._wait(block, since)
                if scope["gonogo.protocol"].is_gone():
                    raise ClientGone
            elif block:
                await send({"type": "http.response.body", "body": block, "more_body": True})
                transfer.moved(len(block))
                if transfer.sent - len(block) < SHOWN_BYTES <= transfer.sent:
                    scope["gonogo.protocol"].bound_unsent(UNSENT_BYTES)
            since = self._wakes.sequence
        await send({"type": "http.response.body", "body": b""})

    def _bounded(self, send: Send) -> Send:
        """`send` that gives a client up which does not read."""

        async def bounded(message: Message) -> None:
            try:
                async with asyncio.timeout(self._limits.write_s):
                    await send(message)
            except TimeoutError:
                raise ClientGone from None

        return bounded

    async def _serve_upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A body that its view reads as it arrives. The thread begins once WHOLE_BYTES have come, or all of it."""
        first, whole = bytearray(), True
        with self._room.hold() as held:
            coming = blocks(scope["gonogo.protocol"], receive, self._limits.quiet_s, held)
            async for block in coming:
                held.add(len(block))
                first += block
                if len(first) >= WHOLE_BYTES:
                    whole = False
                    break
            held.keep()
            if whole:
                await self._call_until_answered(scope, environ_of(scope, BytesIO(bytes(first))), send)
                return
            pipe = BodyPipe(asyncio.get_running_loop())
            transfer = Transfer(lambda: pipe.break_off(_quiet_upload()))
            await self._uploads.take(transfer)
        environ = environ_of(scope, pipe)
        feeding = asyncio.ensure_future(self._feed(pipe, transfer, bytes(first), coming))
        try:
            answer = await self._call(self._upload_threads, environ)
        finally:
            self._uploads.leave(transfer)
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError, Refusal, ClientGone):
                await feeding
        if environ.pop(PARKED, None) is not None:
            environ["wsgi.input"] = BytesIO(b"")
            await self._call_until_answered(scope, environ, send)
            return
        await self._write(scope, send, answer)

    async def _feed(
        self, pipe: BodyPipe, transfer: Transfer, first: bytes, coming: AsyncIterator[bytes]
    ) -> None:
        try:
            await pipe.feed(first)
            transfer.moved()
            async for block in coming:
                transfer.working()
                await pipe.feed(block)
                transfer.moved()
            transfer.working()
            pipe.end()
        except ClientGone:
            pipe.break_off(BodyBroken("the client left before the end of the body"))
        except Refusal as refusal:
            broken = BodyTooSlow if refusal.status == 408 else BodyBroken
            pipe.break_off(broken(refusal.detail))


def _quiet_upload() -> Unavailable:
    return Unavailable(
        "the upload went quiet while another one needed its place", code="overloaded", retry_after_s=2
    )


def _cut(scope: Scope) -> None:
    """End the connection without an end of the answer, so that the client sees that it is cut."""
    scope["gonogo.protocol"].abort()
