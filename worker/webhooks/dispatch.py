"""Many tries at once, in threads, shared out so that a silent host holds up no other one.

A delivery of a webhook, or a fetch of an image, may take many seconds, and nearly all of it is waiting. Each line (the
rows of one tenant for one host) has few tries in hand, and a single one until its host has answered quickly; a tenant
has some more; and lines that are not known to be quick leave a part of the threads to the others. The due rows are in
the database: a message only wakes the dispatcher, and it looks again by itself when a try has ended.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection

from shared.store.engine import Database, database_time
from shared.store.lines import tenant_of

MOST = 64  # tries in hand
MOST_UNPROVEN = 48  # of lines that are not known to be quick
MOST_OF_A_TENANT = 16
MOST_OF_A_LINE = 4
_QUICK_S = 5.0
_REMEMBERED = 10_000  # lines
log = logging.getLogger(__name__)


class Rows(Protocol):
    """The module of the rows that are tried."""

    def waiting(self, connection: Connection) -> list[str]:
        """Every line in which a row is pending, the longest due first."""

    def due(self, connection: Connection, limit: int, now: float, *, line: str | None = None) -> list[str]:
        """Ids of at most `limit` rows of a line that are due at `now`, the longest due first."""


class Dispatcher:
    """The rows of one kind that a process has in hand.

    `try_one` takes an id. It answers `not_due` where it claimed nothing, and raises only where the row may still be
    due.
    """

    def __init__(
        self,
        database: Database,
        try_one: Callable[[str], object],
        rows: Rows,
    ) -> None:
        self._database, self._try_one, self._rows = database, try_one, rows
        self._changed = threading.Condition()
        self._asked = False  # a message came, or a try ended, since the last look
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._in_hand: dict[str, str] = {}  # id to line
        self._quick: set[str] = set()

    def wake(self) -> None:
        """Look for due rows soon, in a thread of its own."""
        with self._changed:
            self._asked = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def stop(self, within_s: float) -> bool:
        """Start no further try, and wait for those in hand; False if some have not ended within the time.

        Their claims then end, and the sweep finds them due.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            ended = self._changed.wait_for(lambda: not self._in_hand, within_s)
        if self._thread is not None:
            self._thread.join(within_s)  # a look under way holds a connection
        return ended

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._stopped)
                if self._stopped:
                    return
                self._asked = False
            try:
                self._look()
            except Exception as error:  # the sweep wakes us again
                log.warning("due rows could not be looked for: %s: %s", type(error).__name__, error)

    def _look(self) -> None:
        """Start tries of due rows while there is room; lines with the fewest tries in hand come first."""
        with self._changed:
            in_hand = Counter(self._in_hand.values())
        with self._database.read() as connection:
            now = database_time(connection)
            # The sort keeps the order by due time among lines with equally many tries.
            for line in sorted(self._rows.waiting(connection), key=in_hand.__getitem__):
                if in_hand.total() >= MOST:
                    return
                room = self._room(line, in_hand)
                if room <= 0:
                    continue
                # A try in hand may not have claimed its row yet.
                due = self._rows.due(connection, in_hand[line] + room, now, line=line)
                for row in [one for one in due if one not in self._in_hand][:room]:
                    self._start(row, line)
                    in_hand[line] += 1

    def _room(self, line: str, in_hand: Counter[str]) -> int:
        """How many tries of a line may be started now."""
        tenant = tenant_of(line)
        of_tenant = sum(tries for other, tries in in_hand.items() if tenant_of(other) == tenant)
        rooms = [MOST - in_hand.total(), MOST_OF_A_TENANT - of_tenant]
        if line in self._quick:
            rooms.append(MOST_OF_A_LINE - in_hand[line])
        else:
            unproven = sum(tries for other, tries in in_hand.items() if other not in self._quick)
            rooms += [1 - in_hand[line], MOST_UNPROVEN - unproven]
        return min(rooms)

    def _start(self, row: str, line: str) -> None:
        with self._changed:
            self._in_hand[row] = line
        threading.Thread(target=self._try, args=(row, line), name=row, daemon=True).start()

    def _try(self, row: str, line: str) -> None:
        started, outcome = time.monotonic(), None
        try:
            outcome = self._try_one(row)
        except Exception as error:
            log.exception("%s failed", row, exc_info=error)
        is_quick = time.monotonic() - started < _QUICK_S
        with self._changed:
            del self._in_hand[row]
            if outcome != "not_due":
                self._quick.discard(line)
                if is_quick and outcome is not None and len(self._quick) < _REMEMBERED:
                    self._quick.add(line)
            # A try that raised may still be due, and a look at once would start it again and again: the sweep wakes us.
            self._asked |= outcome is not None
            self._changed.notify_all()
