"""Whether more may come in: open items and bytes, in all and of one tenant, and free disk.

Single predictions have a bound of their own, so that a person waiting for one verdict does not wait for a full bulk
backlog.
"""

import threading
import time

from shared.blobs import disk
from shared.blobs.store import BlobStore
from shared.errors import Unavailable
from shared.lifecycle import open_work
from shared.lifecycle.open_work import OpenWork
from shared.settings import Settings
from shared.store.engine import Database
from web.http.problems import HttpProblem

_UNKNOWN_S = 30  # the wait while no batch is under way, so that no speed is known


class Capacity:
    """The bounds of one web process. It asks the database once in `remember_s` seconds: submissions that arrive
    meanwhile can overshoot a bound by as much."""

    def __init__(self, settings: Settings, database: Database, blobs: BlobStore) -> None:
        self.settings, self._database, self._blobs = settings, database, blobs
        self.remember_s = 1.0
        self._lock = threading.Lock()
        self._asked = -float("inf")
        self._work: dict[str, OpenWork] = {}

    def check(self, tenant: str, coming: int = 0) -> None:
        """Raise 503 if the service is full or 429 if the tenant is, for a body of `coming` bytes. Retry-After comes
        from the speed at which open items end now."""
        self.check_disk(coming)
        settings, work = self.settings, self._open_work()
        own, every = work.get(tenant, OpenWork()), sum(work.values(), OpenWork())
        over = _over(own, settings.max_tenant_items, settings.max_tenant_bytes)
        if over is not None:
            wait = _seconds(over, own.speed or every.speed)
            raise HttpProblem(
                429, "quota_exceeded", f"{own.items} of your items are open", retry_after_s=wait
            )
        over = _over(every, settings.max_backlog_items, settings.max_backlog_bytes)
        if over is not None:
            wait = _seconds(over, every.speed)
            raise Unavailable(f"{every.items} items are open", code="backlog_full", retry_after_s=wait)

    def check_prediction(self, coming: int = 0) -> None:
        """Raise 503 if more predictions are open than there are threads to answer them."""
        self.check_disk(coming)
        open_now = sum(work.predictions for work in self._open_work().values())
        if open_now >= self.settings.web_threads:
            raise Unavailable(f"{open_now} predictions are open", code="backlog_full", retry_after_s=5)

    def check_disk(self, coming: int = 0) -> None:
        """Raise 503 if `coming` more bytes would leave less free disk than must stay."""
        if not disk.has_room(self._blobs.free_bytes(), self.settings.min_free_bytes, coming):
            raise disk.full("the disk is nearly full")

    def _open_work(self) -> dict[str, OpenWork]:
        if time.monotonic() - self._asked < self.remember_s:
            return self._work
        with self._database.read() as connection:
            work = open_work.by_tenant(connection)
        with self._lock:
            self._work, self._asked = work, time.monotonic()
        return work


def _over(work: OpenWork, max_items: int, max_bytes: int) -> float | None:
    """How many items must end before the work is below both bounds; None if it is below them now."""
    if work.items < max_items and work.bytes < max_bytes:
        return None
    of_bytes = (work.bytes - max_bytes) * work.items / work.bytes if work.bytes >= max_bytes > 0 else 0.0
    return max(work.items - max_items, of_bytes, 0.0)


def _seconds(over: float, speed: float) -> int:
    """How long the workers need at their present speed for the items over the bound."""
    return max(1, min(3600, round((over + 1) / speed))) if speed > 0 else _UNKNOWN_S
