"""Many deliveries at once, in threads, shared out so that a silent receiver holds up no other one.

A try may take `webhook_timeout_s` seconds, and nearly all of it is waiting. Each line (the deliveries of one tenant to
one host) has few tries in hand, and a single one until its receiver has answered quickly; a tenant has some more; and
lines that are not known to be quick leave a part of the threads to the others. The due deliveries are rows: a
message only wakes the dispatcher, and it looks again by itself when a try has ended.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from shared.settings import Settings
from shared.store.engine import Database, database_time
from shared.webhooks import lines
from worker.webhooks.deliver import deliver

MOST = 64  # tries in hand
MOST_UNPROVEN = 48  # of lines that are not known to be quick
MOST_OF_A_TENANT = 16
MOST_OF_A_LINE = 4
_QUICK_S = 5.0
_REMEMBERED = 10_000  # lines
log = logging.getLogger(__name__)


class Dispatcher:
    """The deliveries that one process has in hand."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        try_one: Callable[[Database, Settings, str], object] = deliver,
    ) -> None:
        self._database, self._settings, self._try_one = database, settings, try_one
        self._changed = threading.Condition()
        self._asked = False  # a message came, or a try ended, since the last look
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._in_hand: dict[str, str] = {}  # delivery to line
        self._quick: set[str] = set()

    def wake(self) -> None:
        """Look for due deliveries soon, in a thread of its own."""
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
                log.warning("due deliveries could not be looked for: %s: %s", type(error).__name__, error)

    def _look(self) -> None:
        """Start tries of due deliveries while there is room; lines with the fewest tries in hand come first."""
        with self._changed:
            in_hand = Counter(self._in_hand.values())
        with self._database.read() as connection:
            now = database_time(connection)
            # The sort keeps the order by due time among lines with equally many tries.
            for line in sorted(lines.waiting(connection), key=in_hand.__getitem__):
                if in_hand.total() >= MOST:
                    return
                room = self._room(line, in_hand)
                if room <= 0:
                    continue
                # A try in hand may not have claimed its delivery yet.
                due = lines.due(connection, in_hand[line] + room, now, line=line)
                for delivery_id in [one for one in due if one not in self._in_hand][:room]:
                    self._start(delivery_id, line)
                    in_hand[line] += 1

    def _room(self, line: str, in_hand: Counter[str]) -> int:
        """How many tries of a line may be started now."""
        tenant = lines.tenant_of(line)
        of_tenant = sum(tries for other, tries in in_hand.items() if lines.tenant_of(other) == tenant)
        rooms = [MOST - in_hand.total(), MOST_OF_A_TENANT - of_tenant]
        if line in self._quick:
            rooms.append(MOST_OF_A_LINE - in_hand[line])
        else:
            unproven = sum(tries for other, tries in in_hand.items() if other not in self._quick)
            rooms += [1 - in_hand[line], MOST_UNPROVEN - unproven]
        return min(rooms)

    def _start(self, delivery_id: str, line: str) -> None:
        with self._changed:
            self._in_hand[delivery_id] = line
        threading.Thread(target=self._try, args=(delivery_id, line), name=delivery_id, daemon=True).start()

    def _try(self, delivery_id: str, line: str) -> None:
        started, outcome = time.monotonic(), None
        try:
            outcome = self._try_one(self._database, self._settings, delivery_id)
        except Exception as error:
            log.exception("%s failed", delivery_id, exc_info=error)
        is_quick = time.monotonic() - started < _QUICK_S
        with self._changed:
            del self._in_hand[delivery_id]
            if outcome != "not_due":
                self._quick.discard(line)
                if is_quick and outcome is not None and len(self._quick) < _REMEMBERED:
                    self._quick.add(line)
            # A try that raised may still be due, and a look at once would start it again and again: the sweep wakes us.
            self._asked |= outcome is not None
            self._changed.notify_all()
