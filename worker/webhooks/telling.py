"""Derives the events of items and of progress, in a thread of its own; any number of processes may do so."""

import logging
import threading
import time
from collections.abc import Callable

from shared import failpoints
from shared.lifecycle import telling
from shared.store.engine import Database

EVERY_S = 0.5
log = logging.getLogger(__name__)


class Teller:
    """Looks for something to tell, again and again; `owed` is called after a commit that owes deliveries."""

    def __init__(self, database: Database, base: str, owed: Callable[[], object]) -> None:
        self._database, self._base, self._owed = database, base, owed

    def start(self) -> None:
        """Look in a thread of its own, which ends with the process."""
        threading.Thread(target=self._run, name="teller", daemon=True).start()

    def tell_all(self) -> int:
        """Tell what there is to tell now; returns how many deliveries are owed."""
        with self._database.read() as connection:
            batch_ids = telling.open_tellings(connection)
        return sum(self._tell(batch_id) for batch_id in batch_ids)

    def _tell(self, batch_id: str) -> int:
        owed, more = 0, True
        while more:
            with self._database.write() as connection:
                told = telling.tell(connection, batch_id, self._base)
                if told.deliveries:
                    failpoints.hit("tell.owed", batch_id)
            if told.deliveries:
                failpoints.hit("tell.committed", batch_id)
                self._owed()
            owed, more = owed + len(told.deliveries), told.more
        return owed

    def _run(self) -> None:
        while True:
            time.sleep(EVERY_S)
            try:
                self.tell_all()
            except Exception as error:  # the next look finds the same rows
                log.warning("events could not be told: %s: %s", type(error).__name__, error)
