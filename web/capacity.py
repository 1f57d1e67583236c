"""Whether one more submission may come in: open items and bytes, ours and the tenant's, and free disk."""

import threading
import time

from sqlalchemy import func, select

from shared.errors import Unavailable
from shared.tables import Batch
from web.problems import HttpProblem
from web.service import Service

_REMEMBER_S = 1.0
_lock = threading.Lock()
_seen: dict[int, tuple[float, list[tuple[str, int, int]], float]] = {}


def _open_work(service: Service) -> tuple[list[tuple[str, int, int]], float]:
    """Per tenant the open items and bytes, and the items a second that batches under way are finishing."""
    at, work, speed = _seen.get(id(service), (0.0, [], 0.0))
    if time.monotonic() - at < _REMEMBER_S:
        return work, speed
    query = (
        select(
            Batch.tenant, func.sum(Batch.queued + Batch.processing), func.sum(Batch.bytes), func.min(Batch.started_at),
            func.sum(Batch.total - Batch.queued - Batch.processing),
        )
        .where(Batch.finished_at.is_(None))
        .group_by(Batch.tenant)
    )  # fmt: skip
    with service.database.read() as connection:
        rows = connection.execute(query).all()
    work = [(row[0], int(row[1] or 0), int(row[2] or 0)) for row in rows]
    speed = sum(float(row[4] or 0) / max(time.time() - row[3], 1.0) for row in rows if row[3] is not None)
    with _lock:
        _seen[id(service)] = (time.monotonic(), work, speed)
    return work, speed


def check(service: Service, tenant: str) -> None:
    """Raises 503 where the service is full, 429 where the tenant is, each with an honest Retry-After."""
    settings = service.settings
    if service.blobs.free_bytes() < settings.min_free_bytes:
        raise Unavailable("the disk is nearly full", code="storage_full", retry_after_s=60)
    work, speed = _open_work(service)
    items = sum(entry[1] for entry in work)
    own = sum(entry[1] for entry in work if entry[0] == tenant)
    stored = sum(entry[2] for entry in work)
    if own >= settings.max_tenant_items:
        wait = _seconds(own - settings.max_tenant_items, speed)
        raise HttpProblem(429, "quota_exceeded", f"{own} of your items are still open", retry_after_s=wait)
    if items >= settings.max_backlog_items or stored >= settings.max_backlog_bytes:
        wait = _seconds(items - settings.max_backlog_items, speed)
        raise Unavailable(f"{items} items are still open", code="backlog_full", retry_after_s=wait)


def _seconds(over: int, speed: float) -> int:
    """How long the workers need for what is over the bound, at the speed they have now."""
    return max(1, min(3600, round((over + 1) / speed))) if speed > 0 else 30
