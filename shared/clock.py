"""Time: seconds since the epoch inside, RFC 3339 in UTC outside.

Leases are compared by the database's clock (shared.store.engine.clock): a worker whose clock is wrong steals no lease.
"""

import functools
import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since the epoch, by this machine's clock."""
    return time.time()


@functools.lru_cache(maxsize=4096)  # the items of a chunk share their times
def rfc3339(moment: float | None) -> str | None:
    """`2026-11-24T10:00:00.123Z` of seconds since the epoch."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
