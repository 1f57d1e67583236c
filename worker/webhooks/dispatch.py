"""Many tries at once, in threads, shared out so that a silent receiver holds up no other one.

A delivery of a webhook, or a fetch of an image, may take many seconds, and nearly all of it is waiting. Each line (the
rows of one tenant for one receiver, or for one host) has few tries in hand, and a single one until it has answered
quickly. The lines of a host, of a tenant and of the process have a share each. Lines that have not answered quickly
leave a part of each share to those that have, and lines that were slow leave more: they also leave room for lines that
were not tried yet. The due rows are in the database: a message only wakes the dispatcher, and it looks again by itself
when a try has ended.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from shared.store.engine import Database, database_time
from shared.store.lines import host_of, tenant_of


class Share(NamedTuple):
    """The most tries in hand: of all lines, of lines that are not known to be quick, and of lines that were slow."""

    all: int
    unproven: int
    slow: int


OF_ALL = Share(64, 48, 32)
OF_A_TENANT = Share(16, 16, 8)
OF_A_HOST = Share(12, 10, 4)  # of one tenant
MOST_OF_A_LINE = 4
QUICK_S = 5.0
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
        self._quick: dict[str, bool] = {}  # line to whether its last try was quick

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
        """Start tries of due rows while there is room.

        Lines that were slow come last; before them, lines with the fewest tries in hand come first.
        """
        with self._changed:
            in_hand = Counter(self._in_hand.values())
        with self._database.read() as connection:
            now = database_time(connection)
            # The sort keeps the order by due time among lines with equally many tries.
            lines = self._rows.waiting(connection)
            for line in sorted(lines, key=lambda each: (self._quick.get(each) is False, in_hand[each])):
                if in_hand.total() >= OF_ALL.all:
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
        is_quick = self._quick.get(line)  # None where it was not tried yet
        rooms = [(MOST_OF_A_LINE if is_quick else 1) - in_hand[line]]
        shares: tuple[tuple[Share, Callable[[str], str]], ...] = (
            (OF_ALL, lambda _: ""),
            (OF_A_TENANT, tenant_of),
            (OF_A_HOST, host_of),
        )
        for share, sharer_of in shares:
            sharing = [(other, n) for other, n in in_hand.items() if sharer_of(other) == sharer_of(line)]
            rooms.append(share.all - sum(n for _, n in sharing))
            if not is_quick:
                rooms.append(share.unproven - sum(n for other, n in sharing if not self._quick.get(other)))
            if is_quick is False:
                rooms.append(share.slow - sum(n for other, n in sharing if self._quick.get(other) is False))
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
        finally:  # an error that ends the thread gives the row's place up too
            self._ended(row, line, outcome, time.monotonic() - started < QUICK_S)

    def _ended(self, row: str, line: str, outcome: object, is_quick: bool) -> None:
        with self._changed:
            del self._in_hand[row]
            if outcome != "not_due":
                self._quick.pop(line, None)
                if outcome is not None:
                    self._quick[line] = is_quick  # the last of the dictionary
                if len(self._quick) > _REMEMBERED:
                    del self._quick[next(iter(self._quick))]
            # A try that raised may still be due, and a look at once would start it again and again: the sweep wakes us.
            self._asked |= outcome is not None
            self._changed.notify_all()
