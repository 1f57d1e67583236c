"""Whether more may come in: open items and bytes, ours and the tenant's, and free disk.

Single predictions have a bound of their own, so that a full bulk backlog does not keep a person waiting.
"""

import threading
import time
from dataclasses import dataclass

from sqlalchemy import case, func, select

from shared.errors import Unavailable
from shared.store.engine import clock
from shared.store.tables import Batch
from web.http.problems import HttpProblem
from web.service import Service

_REMEMBER_S = 1.0
_UNKNOWN_S = 30  # until a batch is under way there is no speed to reckon with
_lock = threading.Lock()
_seen: dict[int, tuple[float, dict[str, "_Open"]]] = {}


@dataclass(frozen=True, slots=True)
class _Open:
    """Open work: items and their bytes in batches, items a second that batches under way end, predictions."""

    items: int = 0
    bytes: float = 0.0
    speed: float = 0.0
    predictions: int = 0

    def __add__(self, other: "_Open") -> "_Open":
        return _Open(
            self.items + other.items,
            self.bytes + other.bytes,
            self.speed + other.speed,
            self.predictions + other.predictions,
        )


_OPEN = Batch.queued + Batch.processing
_ELAPSED = clock() - Batch.started_at
_IS_SINGLE = Batch.origin == "predict"
_WORK = (
    select(
        Batch.tenant,
        func.sum(case((_IS_SINGLE, 0), else_=_OPEN)),
        func.sum(case((_IS_SINGLE | (Batch.total == 0), 0.0), else_=1.0 * Batch.bytes * _OPEN / Batch.total)),
        func.sum(
            case(
                (_IS_SINGLE | Batch.started_at.is_(None), 0.0),
                else_=(Batch.total - _OPEN) / case((_ELAPSED < 1.0, 1.0), else_=_ELAPSED),
            )
        ),
        func.sum(case((_IS_SINGLE, _OPEN), else_=0)),
    )
    .where(Batch.finished_at.is_(None))
    .group_by(Batch.tenant)
)


def _open_work(service: Service) -> dict[str, _Open]:
    """Open work by tenant, remembered for a second: what comes in meanwhile overshoots the bound by that much."""
    at, work = _seen.get(id(service), (0.0, {}))
    if at and time.monotonic() - at < _REMEMBER_S:
        return work
    with service.database.read() as connection:
        rows = connection.execute(_WORK).all()
    work = {row[0]: _Open(int(row[1]), float(row[2]), float(row[3]), int(row[4])) for row in rows}
    with _lock:
        _seen[id(service)] = (time.monotonic(), work)
    return work


def check(service: Service, tenant: str, coming: int = 0) -> None:
    """Whether a submission with a body of `coming` bytes may come in: raises 503 where the service is full, 429
    where the tenant is, each with a Retry-After from the speed at which open items end now."""
    check_disk(service, coming)
    settings, work = service.settings, _open_work(service)
    own, every = work.get(tenant, _Open()), sum(work.values(), _Open())
    over = _over(own, settings.max_tenant_items, settings.max_tenant_bytes)
    if over is not None:
        wait = _seconds(over, own.speed or every.speed)
        raise HttpProblem(429, "quota_exceeded", f"{own.items} of your items are open", retry_after_s=wait)
    over = _over(every, settings.max_backlog_items, settings.max_backlog_bytes)
    if over is not None:
        wait = _seconds(over, every.speed)
        raise Unavailable(f"{every.items} items are open", code="backlog_full", retry_after_s=wait)


def check_prediction(service: Service) -> None:
    """Whether one picture may come in for its verdict at once: raises 503 where no worker keeps up with those."""
    check_disk(service)
    open_now = sum(work.predictions for work in _open_work(service).values())
    if open_now >= service.settings.web_threads:  # more than can be waited for: nobody answers them
        raise Unavailable(f"{open_now} predictions are open", code="backlog_full", retry_after_s=5)


def check_disk(service: Service, coming: int = 0) -> None:
    """Raises 503 where `coming` more bytes would leave less free than must stay so."""
    if service.blobs.free_bytes() - coming < service.settings.min_free_bytes:
        raise Unavailable("the disk is nearly full", code="storage_full", retry_after_s=60)


def _over(work: _Open, max_items: int, max_bytes: int) -> float | None:
    """How many items must end before the work is below both bounds; None where it is."""
    if work.items < max_items and work.bytes < max_bytes:
        return None
    of_bytes = (work.bytes - max_bytes) * work.items / work.bytes if work.bytes >= max_bytes > 0 else 0.0
    return max(work.items - max_items, of_bytes, 0.0)


def _seconds(over: float, speed: float) -> int:
    """How long the workers need for what is over the bound, at the speed they have now."""
    return max(1, min(3600, round((over + 1) / speed))) if speed > 0 else _UNKNOWN_S
