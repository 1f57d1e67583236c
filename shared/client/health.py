"""The service itself: its workers, its metrics, and whether it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.client.calls import pages
from shared.client.errors import ApiError, Unreachable
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.drift import DriftWindowPayload
    from shared.contract.workers import WorkerPayload


class Health:
    """Ask how the service is."""

    _wire: Transport

    def workers(self) -> Iterator[WorkerPayload]:
        """The live workers."""
        return pages(self._wire, "/v1/workers", {})

    def drift(self, **filters: object) -> Iterator[DriftWindowPayload]:
        """Drift windows, newest first; `filters` are the query of GET /v1/stats/drift."""
        return pages(self._wire, "/v1/stats/drift", filters)

    def metrics(self) -> str:
        """Counters and histograms in the Prometheus text format."""
        return self._wire.call("GET", "/metrics").data.decode()

    def alive(self) -> bool:
        """Whether the web process answers now; False also where no service is there."""
        try:
            return self._wire.call("GET", "/livez", patience_s=0.0).status == 200
        except (ApiError, Unreachable):
            return False

    def ready(self) -> bool:
        """Whether the service, its database, its broker and a worker are all there now; False for any error."""
        try:
            return self._wire.call("GET", "/readyz", patience_s=0.0).status == 200
        except (ApiError, Unreachable):
            return False

    def readiness(self) -> dict[str, str]:
        """The checks of /readyz: `ok`, or what is wrong, for each part; raises Unreachable or ApiError."""
        return dict(self._wire.call("GET", "/readyz", patience_s=0.0).json()["checks"])
