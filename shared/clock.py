"""Time: seconds since the epoch inside, RFC 3339 in UTC outside.

Leases and deliveries are compared by the database's clock (shared.store.engine.clock): a worker whose clock is wrong
steals no lease.
"""

import functools
import logging
import threading
import time
from datetime import UTC, datetime

_TOLERANCE_S = 2.0
FIRST_MOMENT = 1_767_225_600.0  # 2026-01-01: before any release, so a clock that says less has not been set
log = logging.getLogger(__name__)


def now() -> float:
    """Seconds since the epoch, by this machine's clock."""
    return time.time()


def uptime() -> float:
    """Seconds since the machine's start, sleep included if the system counts it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class EvenClock:
    """This machine's wall clock, which follows a jump once the new time has run evenly for `settle_s` seconds.

    A wrong time server or a resumed machine can move a wall clock by years for some seconds. The uptime does not jump,
    so the difference of the two tells a jump from time that passed. Any number of threads may read one clock.
    """

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._reading = threading.Lock()
        self._offset = offset(uptime())  # wall clock less uptime
        self._doubted: tuple[float, float] | None = (
            None  # another offset, and the uptime of its first reading
        )

    def now(self) -> float:
        """Seconds since the epoch."""
        with self._reading:
            up = uptime()
            found = offset(up)
            if abs(found - self._offset) <= _TOLERANCE_S:
                self._offset, self._doubted = (
                    found,
                    None,
                )  # follow the small differences that time servers make
                return up + found
            if self._doubted is None or abs(found - self._doubted[0]) > _TOLERANCE_S:
                log.warning(
                    "the clock jumped by %.1f s: it is followed once it has run evenly for %g s",
                    found - self._offset,
                    self._settle_s,
                )
                self._doubted = (found, up)
            if up - self._doubted[1] >= self._settle_s:
                self._offset, self._doubted = found, None
            return up + self._offset


def offset(up: float) -> float:
    return time.clock_gettime(time.CLOCK_REALTIME) - up


@functools.lru_cache(maxsize=4096)  # the items of a chunk share their times
def rfc3339(moment: float | None) -> str | None:
    """`2026-11-24T10:00:00.123Z` of seconds since the epoch."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
