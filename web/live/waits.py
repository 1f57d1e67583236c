"""How a request waits without holding a thread: its view raises Parked, and the server calls the view again later.

The view runs from its start each time, in the same environ, where it keeps what a first run has decided. The server
wakes a parked request when its key is told (a batch or item has changed), when its time is over, or at the drain.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

DEADLINE, PARKED, SEQUENCE = "gonogo.deadline", "gonogo.parked", "gonogo.sequence"
# The server asks whether the headers of a request pass, before it receives the body; and the answer that they do.
PRECHECK, PASSED = "gonogo.precheck", "gonogo.passed"
# What the application knows of a request and its server writes down: the route, the key, the request's id. The runs of
# a request that waits share it.
FACTS = "gonogo.facts"
BRIDGED = "gonogo.bridged"  # the server of this request waits by itself
SLOW_CHECK_S = 3.0
_KEYS_REMEMBERED = 10_000


class Parked(Exception):
    """Raised by a view that has to wait: call it again once `key` is told, or at `until` (monotonic seconds)."""

    def __init__(self, key: str, until: float) -> None:
        super().__init__(key)
        self.key, self.until = key, until


class Wakes:
    """Which requests of this process wait for which key. Safe to call from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[Callable[[], None]]] = {}
        self._told: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
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
        for wake in woken:
            wake()

    def add(self, key: str, since: int, wake: Callable[[], None]) -> None:
        """Call `wake` when the key is told; at once where that has happened after sequence `since`, or at the drain."""
        with self._lock:
            self._waiting.setdefault(key, set()).add(wake)
            late = self._told.get(key, 0) > since or self.stopping
        if late:
            wake()

    def discard(self, key: str, wake: Callable[[], None]) -> None:
        """Forget a request."""
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.discard(wake)
                if not waiting:
                    del self._waiting[key]

    def waiting(self) -> int:
        """How many requests wait now."""
        with self._lock:
            return sum(len(wakes) for wakes in self._waiting.values())

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

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
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

    def _stream(self, body: Iterable[Any]) -> Iterable[bytes]:
        if isinstance(body, list):
            return body
        return _Unparked(body, self._wait)

    def _wait(self, parked: Parked, since: int) -> None:
        woken = threading.Event()
        self._wakes.add(parked.key, since, woken.set)
        try:
            woken.wait(max(0.0, min(parked.until - time.monotonic(), SLOW_CHECK_S)))
        finally:
            self._wakes.discard(parked.key, woken.set)


class _Unparked:
    """A streamed body whose waits are sat out in the thread that reads it."""

    def __init__(self, body: Iterable[Any], wait: Callable[[Parked, int], None]) -> None:
        self._body, self._blocks, self._wait = body, iter(body), wait

    def __iter__(self) -> "_Unparked":
        return self

    def __next__(self) -> bytes:
        block: Any = next(self._blocks)
        while isinstance(block, Parked):
            self._wait(block, -1)
            block = next(self._blocks)
        return bytes(block)

    def close(self) -> None:
        """Close the body that is behind this one."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
