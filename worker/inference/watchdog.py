"""Bounds one item's time: a decoder that takes too long cannot be stopped, so its process ends and the item fails.

The decoders release the interpreter while they work, so a thread can watch them. It fails the item, hands the other
items back without an attempt, and ends the process; Celery starts another.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from shared.lifecycle.claims import Claim
from shared.lifecycle.culprits import fail_alone, put_back
from shared.store.engine import Database

_LOOK_EVERY_S = 0.5
log = logging.getLogger(__name__)


def _end_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Watchdog:
    """Made once in each process; watches the items that its threads decode."""

    def __init__(
        self,
        database: Database,
        held: Callable[[], Sequence[Claim]],
        item_timeout_s: float,
        end: Callable[[], None] = _end_process,
    ) -> None:
        self._database, self._held, self._timeout_s, self._end = database, held, item_timeout_s, end
        self._items: dict[int, tuple[float, Claim, int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def item(self, claim: Claim, seq: int) -> Iterator[None]:
        """Watch this thread's item."""
        thread = threading.get_ident()
        self._items[thread] = (time.monotonic(), claim, seq)
        try:
            yield
        finally:
            with self._lock:  # an item that is being failed must not also be recorded
                del self._items[thread]

    def start(self) -> None:
        """Begin to watch."""

        def run() -> None:
            while True:
                time.sleep(_LOOK_EVERY_S)
                try:
                    self.look()
                except Exception as error:  # the next look must come, whatever it is
                    log.warning("a slow item could not be failed: %s: %s", type(error).__name__, error)

        threading.Thread(target=run, name="watchdog", daemon=True).start()

    def look(self) -> None:
        """End this process if one of its items has taken too long."""
        with self._lock:
            for began, claim, seq in list(self._items.values()):
                if time.monotonic() - began > self._timeout_s:
                    self._give_up(claim, seq)
                    return

    def _give_up(self, culprit: Claim, seq: int) -> None:
        detail = f"decoding took longer than {self._timeout_s:g} s"
        log.error("item %d of %s: %s; this process ends", seq, culprit.batch_id, detail)
        for claim in sorted(self._held(), key=lambda claim: claim.chunk_id):
            with self._database.write() as connection:
                if claim.chunk_id == culprit.chunk_id:
                    fail_alone(connection, claim, seq, "timeout", detail)
                else:
                    put_back(connection, claim)
        self._end()
