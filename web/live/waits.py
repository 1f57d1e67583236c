"""How a request waits without holding a thread: its view raises Parked, and the server calls the view again later.

The view runs from its start each time, in the same environ, where it keeps what a first run has decided. The server
wakes a parked request when its key is told (a batch or item has changed), when its time is over, or at the drain.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

DEADLINE, PARKED, SEQUENCE = "gonogo.deadline", "gonogo.parked", "gonogo.sequence"
# The server asks whether the headers of a request pass, before it receives the body; and the answer that they do.
PRECHECK, PASSED = "gonogo.precheck", "gonogo.passed"
# The facts that the application knows of a request and its server writes down: the route, the key, the request's id.
# The runs of a request that waits share them.
FACTS = "gonogo.facts"
BRIDGED = "gonogo.bridged"  # the server of this request waits by itself
SLOW_CHECK_S = 3.0
_KEYS_REMEMBERED = 10_000
_WOKEN_AT_ONCE, _BETWEEN_S = 50, 0.005


class Parked(Exception):
    """Raised by a view that has to wait: call it again once `key` is told, or at `until` (monotonic seconds).

    A stream yields it in place of a block. It may ask for a pause: `not_before` holds although the key is told.
    """

    def __init__(self, key: str, until: float, *, not_before: float = 0.0) -> None:
        super().__init__(key)
        self.key, self.until, self.not_before = key, until, not_before


class Wakes:
    """Which requests of this process wait for which key. Safe to call from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[Callable[[], None]]] = {}
        self._told: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self._requests = 0
        self.sequence = 0
        self.stopping = False

    def tell(self, key: str) -> None:
        """Wake every request that waits for the key."""
        with self._lock:
            self.sequence += 1
            # A request whose view has looked and is not registered yet must learn of this call: see `add`.
            self._told[key] = self.sequence
            self._told.move_to_end(key)
            if len(self._told) > _KEYS_REMEMBERED:
                self._told.popitem(last=False)
            woken = list(self._waiting.get(key, ()))
        for number, wake in enumerate(woken, 1):
            wake()
            if number % _WOKEN_AT_ONCE == 0:
                time.sleep(
                    _BETWEEN_S
                )  # the event loop would else run all of them before it serves anybody else

    def add(self, key: str, since: int, wake: Callable[[], None]) -> None:
        """Call `wake` when the key is told; at once where that has happened after sequence `since`, or at the drain."""
        with self._lock:
            there = self._waiting.setdefault(key, set())
            self._requests += wake not in there
            there.add(wake)
            late = self._told.get(key, 0) > since or self.stopping
        if late:
            wake()

    def discard(self, key: str, wake: Callable[[], None]) -> None:
        """Forget a request."""
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is not None:
                self._requests -= wake in waiting
                waiting.discard(wake)
                if not waiting:
                    del self._waiting[key]

    def told(self, key: str) -> int:
        """The sequence at which the key was told last; 0 where that is not remembered."""
        with self._lock:
            return self._told.get(key, 0)

    def waiting(self) -> int:
        """How many requests wait now."""
        return (
            self._requests
        )  # counted as they come: each wait asks, and a sum over thousands would take its time

    def stop(self) -> None:
        """Wake every request for its last look: the process is about to end."""
        with self._lock:
            self.stopping = True
            woken = [wake for wakes in self._waiting.values() for wake in wakes]
        for wake in woken:
            wake()


def slow_check_s(waiting: int) -> float:
    """Seconds until a parked request looks again by itself, for a wake-up call that was lost. With thousands of
    parked requests the looks are spread, so that they cost at most about a hundred calls a second."""
    return max(SLOW_CHECK_S, waiting / 100)


class BlockingWaits:
    """Waiting under a plain WSGI server or a test client, where a parked request holds its thread."""

    def __init__(self, app: Callable[..., Iterable[bytes]], wakes: Wakes) -> None:
        self._app, self._wakes = app, wakes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get(BRIDGED):
            return self._app(environ, start_response)
        while True:
            environ[SEQUENCE] = self._wakes.sequence
            answer: list[tuple[Any, ...]] = []
            body = self._app(environ, lambda *given, kept=answer: kept.append(given))
            parked: Parked | None = environ.pop(PARKED, None)
            if parked is None:
                start_response(*answer[-1])
                return self._stream(body)
            close = getattr(body, "close", None)
            if close is not None:
                close()
            self._wait(parked, environ[SEQUENCE])

    def _stream(self, body: Iterable[object]) -> Iterable[bytes]:
        if isinstance(body, list):
            return body
        return _Unparked(body, self._wait, self._wakes)

    def _wait(self, parked: Parked, since: int) -> None:
        woken = threading.Event()
        self._wakes.add(parked.key, since, woken.set)
        try:
            time.sleep(max(0.0, parked.not_before - time.monotonic()))
            woken.wait(max(0.0, min(parked.until - time.monotonic(), SLOW_CHECK_S)))
        finally:
            self._wakes.discard(parked.key, woken.set)


class _Unparked:
    """A streamed body whose waits are sat out in the thread that reads it."""

    def __init__(self, body: Iterable[object], wait: Callable[[Parked, int], None], wakes: Wakes) -> None:
        self._body, self._blocks, self._wait, self._wakes = body, iter(body), wait, wakes

    def __iter__(self) -> "_Unparked":
        return self

    def __next__(self) -> bytes:
        while True:
            since = self._wakes.sequence
            block: Any = next(self._blocks)
            if not isinstance(block, Parked):
                return bytes(block)
            self._wait(block, since)

    def close(self) -> None:
        """Close the body that is behind this one."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
