"""The access log: a line of JSON for each request, written by a thread of its own.

A line has the ids that the audit trail has. It holds the route and the path, and no query, header or body: those may
carry secrets. A file is opened for each batch of lines, so that a rotation by rename needs no signal.
"""

import contextlib
import logging
import math
import os
import queue
import sys
import threading
import time
from pathlib import Path

import orjson

from shared.clock import rfc3339
from web.live.waits import FACTS
from web.server.asgi import App, Message, Receive, Scope, Send

_WAITING_LINES = 10_000
_LINES_AT_ONCE = 1000
_STOP_S = 5.0
_WARN_EVERY_S = 60.0
log = logging.getLogger(__name__)


class Lines:
    """Lines on their way to a file or to stderr. While the target takes none, the newest are dropped and counted.

    Raises OSError where the target cannot be written.
    """

    def __init__(self, target: str) -> None:
        self._file = None if target == "stderr" else Path(target)
        self._lines: queue.Queue[bytes | None] = queue.Queue(_WAITING_LINES)
        self._dropped, self._warned_at = 0, -math.inf
        self._write(b"")  # a target that cannot be written is said at the start
        self._thread = threading.Thread(target=self._write_all, name="access-log", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Hand a line over without waiting."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def stop(self) -> None:
        """Write what is left: the process is about to end."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=_STOP_S)
        self._thread.join(_STOP_S)

    def _write_all(self) -> None:
        ended = False
        while not ended:
            taken = [self._lines.get()]
            while len(taken) < _LINES_AT_ONCE and not self._lines.empty():
                taken.append(self._lines.get())
            ended = None in taken
            try:
                self._write(b"".join(line for line in taken if line is not None))
            except OSError as error:
                self._dropped += len(taken)
                self._warn(error)

    def _warn(self, error: OSError) -> None:
        if time.monotonic() - self._warned_at > _WARN_EVERY_S:
            self._warned_at = time.monotonic()
            log.warning("%d lines of the access log are lost so far: %s", self._dropped, error)

    def _write(self, text: bytes) -> None:
        if self._file is None:
            sys.stderr.buffer.write(text)
            sys.stderr.buffer.flush()
            return
        with open(self._file, "ab", opener=_private) as file:
            file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class AccessLog:
    """An ASGI application around another one: counts an answer's bytes and notes the request when it has ended."""

    def __init__(self, app: App, lines: Lines) -> None:
        self._app, self._lines = app, lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, at = time.perf_counter(), time.time()
        facts: dict[str, object] = {}
        scope[FACTS] = facts
        status = sent = 0

        async def counting(message: Message) -> None:
            nonlocal status, sent
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))

        try:
            await self._app(scope, receive, counting)
        finally:
            took_ms = round(1000 * (time.perf_counter() - began), 1)
            client = scope["client"] or (None,)
            self._lines.add(
                orjson.dumps(
                    {
                        "time": rfc3339(round(at, 3)),
                        "method": scope["method"],
                        "route": facts.get("route"),
                        "path": scope["path"],
                        "status": status,  # 0: the client left before the answer
                        "duration_ms": took_ms,
                        "bytes": sent,
                        "key_id": facts.get("key_id"),
                        "tenant": facts.get("tenant"),
                        "address": facts.get("address", client[0]),
                        "request_id": facts.get("request_id"),
                    },
                    option=orjson.OPT_APPEND_NEWLINE,
                )
            )
