"""The service itself: its workers, and whether it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.client.calls import pages
from shared.client.errors import ApiError, Unreachable
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.workers import WorkerPayload


class Health:
    """Ask how the service is."""

    _wire: Transport

    def workers(self) -> Iterator[WorkerPayload]:
        """The live workers."""
        return pages(self._wire, "/v1/workers", {})

    def ready(self) -> bool:
        """Whether the service, its database, its broker and a worker are all there now; never raises."""
        try:
            return self._wire.call("GET", "/readyz", patience_s=0.0).status == 200
        except (ApiError, Unreachable):
            return False

    def readiness(self) -> dict[str, str]:
        """The checks of /readyz: `ok`, or what is wrong, for each part; raises Unreachable or ApiError."""
        return dict(self._wire.call("GET", "/readyz", patience_s=0.0).json()["checks"])
