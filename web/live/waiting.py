"""The waiting room of long polls: woken by pub/sub, with a slow look at the database behind it."""

import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from shared.broker import messages, queues
from shared.settings import Settings

_T = TypeVar("_T")
SLOW_CHECK_S = 3.0
_LOOK_AT_ONCE = 2
log = logging.getLogger(__name__)


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
        over. `in_turn`: where many wait for the same batch, a few look at a time. A thousand who woke at once would
        keep everyone else from the interpreter for seconds."""
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
        """Answer everyone now: the process is about to end."""
        self._stopping.set()
        with self._lock:
            for events in self._events.values():
                for event in events:
                    event.set()

    def wake(self, batch_id: str) -> None:
        """Let everyone in this process who waits for the batch look again."""
        with self._lock:
            for event in self._events.get(batch_id, ()):
                event.set()

    def _listen(self) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            try:
                client = messages.connect(self._settings, timeout_s=15.0)
                with client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
                    subscription.subscribe(queues.EVENTS_CHANNEL)
                    pause = 0.5
                    while not self._stopping.is_set():
                        message = subscription.get_message(timeout=5.0)
                        if message is not None:
                            self.wake(message["data"].decode())
            except messages.UNREACHABLE as error:
                log.warning("no wake-up calls while the broker is away: %s", error)
                self._stopping.wait(pause)
                pause = min(pause * 2, 5.0)
