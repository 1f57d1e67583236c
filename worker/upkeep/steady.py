"""A clock that upkeep may delete by: the database's, once it has run evenly with the machine's own for a while.

A wall clock may jump, by a wrong time server or a resumed machine. The machine's uptime does not jump. As long as the
two advance together, the database's time is known; after a jump it is in doubt until they have agreed for `settle_s`.
"""

import json
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.clock import uptime
from shared.store.engine import Database, database_time
from shared.store.tables import ServiceSecret

_TOLERANCE_S = 2.0
_SLOWEST_READING_S = 1.0  # a reading that took longer says too little
_KEEP_EVERY_S = 30.0
_NAME = "clock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
log = logging.getLogger(__name__)


class NotNow(Exception):
    """A reason for which an upkeep step may delete nothing."""


class ClockInDoubt(NotNow):
    """The clock has not run evenly for long enough; nothing may be deleted for its age."""


class SteadyClock:
    """Compares the database's clock with the uptime at each reading.

    The last agreement is kept in the database, so that doctor, and a sweep that starts again, can judge their first
    reading. It counts on the same boot of the same machine only.
    """

    def __init__(
        self, database: Database, settle_s: float, *, time_of: Callable[[], float] | None = None
    ) -> None:
        self._database, self._settle_s = database, settle_s
        self._time_of = time_of or self._database_time
        self._offset: float | None = None  # database time less uptime
        self._even_since = math.inf
        self._kept_at = -math.inf

    def now(self) -> float:
        """Seconds since the epoch by the database's clock; raises ClockInDoubt."""
        found = self.read()
        if found is None:
            raise ClockInDoubt(
                f"the clock must run evenly for {self._settle_s:g} s before anything is deleted for its age"
            )
        return found

    def read(self) -> float | None:
        """Seconds since the epoch by the database's clock; None while it is in doubt."""
        before = uptime()
        found = self._time_of()
        at = uptime()
        if at - before > _SLOWEST_READING_S:
            return None
        if self._offset is None:
            self._offset, self._even_since = self._kept() or (found - at, at)
        ahead = found - at - self._offset
        if abs(ahead) > _TOLERANCE_S:
            log.warning(
                "the clock jumped by %.1f s: nothing is deleted for its age for %g s", ahead, self._settle_s
            )
            self._even_since, self._kept_at = at, -math.inf
        self._offset = found - at  # follow the small differences that time servers make
        if at - self._kept_at > _KEEP_EVERY_S:
            self._keep()
            self._kept_at = at
        return found if at - self._even_since >= self._settle_s else None

    def _database_time(self) -> float:
        with self._database.read() as connection:
            return database_time(connection)

    def _kept(self) -> tuple[float, float] | None:
        """(offset, even since) that a process on this boot of this machine kept last."""
        query = select(ServiceSecret.value).where(ServiceSecret.name == _NAME)
        with self._database.read() as connection:
            value = connection.scalar(query)
        if value is None:
            return None
        kept = json.loads(value)
        return (kept["offset"], kept["even_since"]) if kept["boot"] == boot() != "" else None

    def _keep(self) -> None:
        kept = {"boot": boot(), "offset": self._offset, "even_since": self._even_since}
        value = json.dumps(kept).encode()
        with self._database.write() as connection:
            written = update(ServiceSecret).where(ServiceSecret.name == _NAME).values(value=value)
            if connection.execute(written).rowcount == 0:
                # Another sweep may insert it at the same moment; either agreement will do.
                with suppress(IntegrityError), connection.begin_nested():
                    connection.execute(insert(ServiceSecret).values(name=_NAME, value=value))


def boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
