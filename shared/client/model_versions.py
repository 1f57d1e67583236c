"""Model versions: upload, list, activate, roll back, and read the card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shared.client.calls import get, pages, post, read
from shared.client.places import identifier, with_query
from shared.client.transport import Transport
from shared.json_text import Card

if TYPE_CHECKING:
    from shared.contract.model_versions import ModelPayload


class ModelVersions:
    """Choose the model of new batches. An operator may name a tenant, or `*` for the installation."""

    _wire: Transport

    def models(self, *, tenant: str | None = None) -> Iterator[ModelPayload]:
        """Every model version this key may use."""
        return pages(self._wire, "/v1/models", {"tenant": tenant})

    def upload_model(
        self, artifact: Path, *, tenant: str | None = None, without_guard: bool = False
    ) -> ModelPayload:
        """Upload an artifact, which a worker then loads by trial. The same bytes again name the same version.

        The service refuses an artifact without a guard, unless `without_guard` says to take it.
        """
        headers = {"Content-Type": "application/octet-stream"}
        path = with_query("/v1/models", tenant=tenant, without_guard=without_guard or None)
        answer = self._wire.call("POST", path, body=read(artifact), headers=headers)
        return cast("ModelPayload", answer.json())

    def activate_model(self, model_id: str, *, tenant: str | None = None) -> ModelPayload:
        """Let new batches use this version, which must be ready."""
        path = with_query(f"/v1/models/{identifier(model_id)}/activate", tenant=tenant)
        return cast("ModelPayload", post(self._wire, path))

    def rollback_model(self, model_id: str, *, tenant: str | None = None) -> ModelPayload:
        """Go back to this version, which was active before."""
        path = with_query(f"/v1/models/{identifier(model_id)}/rollback", tenant=tenant)
        return cast("ModelPayload", post(self._wire, path, once=True))

    def model_card(self, model_id: str, *, tenant: str | None = None) -> Card:
        """The card of a version: metrics, data, operating point, training."""
        path = with_query(f"/v1/models/{identifier(model_id)}/card", tenant=tenant)
        return dict(get(self._wire, path))
