"""Shadows: a candidate that also scores a share of the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from shared.client.calls import get, pages, post
from shared.client.places import identifier
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.shadows import ShadowPayload, ShadowReport


class Shadows:
    """Compare a candidate with the model in use, on the images that come."""

    _wire: Transport

    def start_shadow(self, candidate: str, *, share: float, model: str | None = None) -> ShadowPayload:
        """Let a ready version score this share of the images that `model`, or the active version, judges."""
        asked = {"candidate": candidate, "share": share, **({} if model is None else {"model": model})}
        return cast("ShadowPayload", post(self._wire, "/v1/shadows", asked))

    def shadows(self, *, limit: int | None = None) -> Iterator[ShadowPayload]:
        """Every shadow of the tenant, newest first; `limit` of them on a page."""
        return pages(self._wire, "/v1/shadows", {"limit": limit})

    def shadow(self, shadow_id: str) -> ShadowReport:
        """A shadow with its diff and the recommendation."""
        return cast("ShadowReport", get(self._wire, f"/v1/shadows/{identifier(shadow_id)}"))

    def stop_shadow(self, shadow_id: str) -> ShadowPayload:
        """Stop a shadow; its scores stay."""
        return cast("ShadowPayload", post(self._wire, f"/v1/shadows/{identifier(shadow_id)}/stop"))
