"""The waiting room of long polls: a wake-up call ends a wait, and so does a slow look at the database."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from shared.broker.wake import listen
from shared.settings import Settings

_T = TypeVar("_T")
SLOW_CHECK_S = 3.0
_LOOK_AT_ONCE = 2


class WaitingRoom:
    """Holds requests until their batch changes. One thread listens for all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(_LOOK_AT_ONCE)
        self._stopping = threading.Event()
        threading.Thread(target=self._listen, name="waiting-room", daemon=True).start()

    def wait(
        self,
        batch_id: str,
        look: Callable[[], _T | None],
        timeout_s: float,
        *,
        first_look_s: float = 0.0,
        in_turn: bool = False,
    ) -> _T | None:
        """Call `look` now, or in `first_look_s`, and after each change of the batch until it answers or the time is
        over.

        `in_turn`: a few requests look at a time. A thousand that woke at once would keep all other requests from the
        interpreter for seconds.
        """
        event = threading.Event()
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._events[batch_id].add(event)
        try:
            if first_look_s:
                event.wait(first_look_s)
                event.clear()
            while True:
                with self._turns if in_turn else contextlib.nullcontext():
                    found = look()
                left = deadline - time.monotonic()
                if found is not None or left <= 0 or self._stopping.is_set():
                    return found
                event.wait(min(left, SLOW_CHECK_S))
                event.clear()
        finally:
            with self._lock:
                self._events[batch_id].discard(event)
                if not self._events[batch_id]:
                    del self._events[batch_id]

    def stop(self) -> None:
        """Answer all waiting requests now: the process is about to end."""
        self._stopping.set()
        with self._lock:
            for events in self._events.values():
                for event in events:
                    event.set()

    def wake(self, batch_id: str) -> None:
        """Let the requests of this process that wait for the batch look again."""
        with self._lock:
            for event in self._events.get(batch_id, ()):
                event.set()

    def _listen(self) -> None:
        for identifier in listen(self._settings, self._stopping):
            self.wake(identifier)
