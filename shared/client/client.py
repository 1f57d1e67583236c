"""The typed Python client of the HTTP API.

    with Client("http://127.0.0.1:8000", key) as client:
        batch = client.submit(["images/"], options={"metadata": {"line": "A3"}})
        batch = client.wait(batch["id"])
        for item in client.items(batch["id"], sort="-score"):
            print(item["filename"], item["verdict"], item["score"])

A client keeps one connection and belongs to one thread. Errors are ApiError (the service said no),
Unreachable (no service answered within `patience_s`) and UnusableInput (a file is missing or changed).

Each resource has a module with a class of its methods. A new resource adds its class to the bases of Client.
"""

from __future__ import annotations

import ssl
from typing import Self

from shared.client.access import Access
from shared.client.batches import Batches
from shared.client.drafts import Drafts
from shared.client.endpoints import Endpoints
from shared.client.errors import ApiError, Unreachable, UnusableInput
from shared.client.events import Events
from shared.client.health import Health
from shared.client.model_versions import ModelVersions
from shared.client.results import Results
from shared.client.reviews import Reviews
from shared.client.shadows import Shadows
from shared.client.submissions import Submissions
from shared.client.transport import Transport
from shared.contract.options import Options

__all__ = ["ApiError", "Client", "Options", "Unreachable", "UnusableInput"]


class Client(
    Submissions, Drafts, Batches, Events, Results, Reviews, ModelVersions, Shadows, Access, Endpoints, Health
):
    """A service and a key."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        patience_s: float = 60.0,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout_s` bounds one silence on the wire, `patience_s` all tries of one call together."""
        self._wire = Transport(url, key, timeout_s=timeout_s, patience_s=patience_s, verify=verify)
        self._seen = {}

    @property
    def url(self) -> str:
        return self._wire.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()
