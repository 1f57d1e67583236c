"""Model versions: upload, list, activate, roll back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shared.client.calls import pages, post, read
from shared.client.places import identifier, of_tenant
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.model_versions import ModelPayload


class ModelVersions:
    """Choose the model of new batches."""

    _wire: Transport

    def models(self, *, tenant: str | None = None) -> Iterator[ModelPayload]:
        """Every model version this key may use; an operator may name a tenant, or `*` for the installation."""
        return pages(self._wire, "/v1/models", {"tenant": tenant} if tenant else {})

    def upload_model(
        self, artifact: Path, *, tenant: str | None = None, without_guard: bool = False
    ) -> ModelPayload:
        """Upload an artifact, to be loaded by trial; uploading the same bytes again names the same version.

        The service refuses an artifact without a guard, unless `without_guard` says to take it.
        """
        headers = {"Content-Type": "application/octet-stream"}
        path = "/v1/models" + of_tenant(tenant)
        if without_guard:
            path += ("&" if tenant else "?") + "without_guard=true"
        answer = self._wire.call("POST", path, body=read(artifact), headers=headers)
        return cast("ModelPayload", answer.json())

    def activate_model(self, model_id: str, *, tenant: str | None = None) -> ModelPayload:
        """Let new batches use this version, which must be ready."""
        path = f"/v1/models/{identifier(model_id)}/activate" + of_tenant(tenant)
        return cast("ModelPayload", post(self._wire, path))

    def rollback_model(self, model_id: str, *, tenant: str | None = None) -> ModelPayload:
        """Go back to this version, which was active before."""
        path = f"/v1/models/{identifier(model_id)}/rollback" + of_tenant(tenant)
        return cast("ModelPayload", post(self._wire, path, once=True))
