"""Whether more may come in: a tenant's quotas, open items and bytes in all, and free disk.

Single predictions have a bound of their own, so that a person waiting for one verdict does not wait for a full bulk
backlog.
"""

import threading
import time

from shared.access import quotas
from shared.access.quotas import Bounds, Stored
from shared.blobs import disk
from shared.blobs.store import BlobStore
from shared.errors import Unavailable
from shared.lifecycle import open_work
from shared.lifecycle.open_work import OpenWork
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.records import QuotaRecord
from web.http.problems import HttpProblem

_UNKNOWN_S = 30  # the wait while no batch is under way, so that no speed is known
_STORED_S = 600  # the wait over a quota of stored bytes or items: room is made by deletion and by retention
_MAKE_ROOM = "delete batches, wait for the end of their retention, or ask the operator for a larger quota"
_LET_END = "wait until workers have judged some, cancel a batch, or ask the operator for a larger quota"


class Capacity:
    """The bounds of one web process. It asks the database once in `remember_s` seconds: submissions that arrive
    meanwhile can overshoot a bound by as much."""

    def __init__(self, settings: Settings, database: Database, blobs: BlobStore) -> None:
        self.settings, self._database, self._blobs = settings, database, blobs
        self.remember_s = 1.0
        self._lock = threading.Lock()
        self._asked = -float("inf")
        self._work: dict[str, OpenWork] = {}
        self._quotas: dict[str, QuotaRecord] = {}

    def check(self, tenant: str, coming: int = 0) -> None:
        """Raise 503 if the service is full or 429 if the tenant is, for a body of `coming` bytes. Retry-After comes
        from the speed at which open items end now."""
        self.check_disk(coming)
        settings, work, bounds = self.settings, self._open_work(), self.bounds(tenant)
        own, every = work.get(tenant, OpenWork()), sum(work.values(), OpenWork())
        for name, used, bound in (
            ("open_items", own.items, bounds.open_items),
            ("open_bytes", round(own.bytes), bounds.open_bytes),
        ):
            if 0 < bound <= used:
                over = _over(own, bounds.open_items, bounds.open_bytes)
                raise _over_quota(name, used, bound, _LET_END, _seconds(over, own.speed or every.speed))
        self.check_room(tenant, coming)
        over = _over(every, settings.max_backlog_items, settings.max_backlog_bytes)
        if over is not None:
            wait = _seconds(over, every.speed)
            raise Unavailable(f"{every.items} items are open", code="backlog_full", retry_after_s=wait)

    def check_prediction(self, tenant: str, coming: int = 0) -> None:
        """Raise 503 if more predictions are open than there are threads to answer them, 429 if the tenant stores as
        much as it may."""
        self.check_disk(coming)
        self.check_room(tenant, coming)
        open_now = sum(work.predictions for work in self._open_work().values())
        if open_now >= self.settings.web_threads:
            raise Unavailable(f"{open_now} predictions are open", code="backlog_full", retry_after_s=5)

    def check_disk(self, coming: int = 0) -> None:
        """Raise 503 if `coming` more bytes would leave less free disk than must stay."""
        disk.need_room(self._blobs.free_bytes(), self.settings.min_free_bytes, coming)

    def bounds(self, tenant: str) -> Bounds:
        """The bounds of a tenant, as known for at most `remember_s` seconds."""
        self._open_work()
        return quotas.bounds(self._quotas.get(tenant) or quotas.none(tenant), self.settings)

    def check_room(self, tenant: str, n_bytes: int, items: int = 1) -> None:
        """Raise 429 if so many bytes and items more would be more than the tenant may store.

        Asked at the door, and at each piece of an upload: items, and a body that does not say its length, are known
        only as they come. The seal has the last word.
        """
        bounds = self.bounds(tenant)
        row = self._quotas.get(tenant) or quotas.none(tenant)
        check_stored(bounds, Stored(row.used_bytes + n_bytes, row.used_items + items))

    def _open_work(self) -> dict[str, OpenWork]:
        if time.monotonic() - self._asked < self.remember_s:
            return self._work
        with self._database.read() as connection:
            work, rows = open_work.by_tenant(connection), quotas.every(connection)
        with self._lock:
            self._work, self._quotas, self._asked = work, rows, time.monotonic()
        return work


def check_stored(bounds: Bounds, stored: Stored) -> None:
    """Raise 429 if a tenant would store more than it may."""
    for name, used, bound in (
        ("stored_bytes", stored.bytes, bounds.stored_bytes),
        ("stored_items", stored.items, bounds.stored_items),
    ):
        if 0 < bound < used:
            raise _over_quota(name, used, bound, _MAKE_ROOM, _STORED_S)


def _over_quota(name: str, used: int, bound: int, remedy: str, wait_s: int) -> HttpProblem:
    detail = f"the quota `{name}` of this tenant is {bound} and this would make it {used}: {remedy}"
    return HttpProblem(429, "quota_exceeded", detail, retry_after_s=wait_s)


def _over(work: OpenWork, max_items: int, max_bytes: int) -> float | None:
    """How many items must end before the work is below both bounds; None if it is below them now. 0 bounds nothing."""
    over_items, over_bytes = 0 < max_items <= work.items, 0 < max_bytes <= work.bytes
    if not over_items and not over_bytes:
        return None
    of_bytes = (work.bytes - max_bytes) * work.items / work.bytes if over_bytes else 0.0
    return max(work.items - max_items if over_items else 0, of_bytes, 0.0)


def _seconds(over: float | None, speed: float) -> int:
    """How long the workers need at their present speed for the items over the bound."""
    return max(1, min(3600, round(((over or 0.0) + 1) / speed))) if speed > 0 else _UNKNOWN_S
