"""The waiting room of one process: who waits for which batch or item, and the wake-up calls of all processes."""

import threading
import time
from wsgiref.types import WSGIEnvironment

from shared.broker.wake import listen
from shared.settings import Settings
from web.live.waits import DEADLINE, Parked, Wakes

_EARLY_S = 1.0


class WaitingRoom:
    """Lets requests wait. A thread listens to the broker for all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.wakes = Wakes()
        self._stopping = threading.Event()
        threading.Thread(target=self._listen, name="waiting-room", daemon=True).start()

    def hold(self, environ: WSGIEnvironment, key: str, timeout_s: float) -> None:
        """Park this request until the key is told, at most `timeout_s` after its first call: raises Parked.

        Never longer than GONOGO_MAX_WAIT_S, and a long wait ends a second early: a proxy whose read timeout is the
        time that the client asked for would else cut it.

        Returns when the time is over or the process is about to end: answer with what there is. The view runs again
        from its start after each wake-up, so call this after a look that found nothing to answer.
        """
        most = min(timeout_s, self._settings.max_wait_s)
        most -= _EARLY_S if most > 10 * _EARLY_S else 0.0
        until = environ.setdefault(DEADLINE, time.monotonic() + most)
        if time.monotonic() < until and not self.wakes.stopping:
            raise Parked(key, until)

    def wake(self, key: str) -> None:
        """Let the requests of this process that wait for the key look again."""
        self.wakes.tell(key)

    def stop(self) -> None:
        """Answer all waiting requests now: the process is about to end."""
        self._stopping.set()
        self.wakes.stop()

    def _listen(self) -> None:
        for identifier in listen(self._settings, self._stopping):
            self.wakes.tell(identifier)
