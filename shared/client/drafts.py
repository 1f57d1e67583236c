"""Drafts: a batch that is made by several requests. `Client.submit` makes one by itself for a large submission."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shared.client.calls import post, read
from shared.client.in_parts import manifest_kind
from shared.client.multipart import Multipart
from shared.client.places import identifier, with_query
from shared.client.sources import Source, add_sources
from shared.client.transport import Transport
from shared.contract.options import Options

if TYPE_CHECKING:
    from shared.contract.batches import BatchPayload


class Drafts:
    """Make a batch part by part."""

    _wire: Transport

    def draft(self, options: Options | None = None, *, idempotency_key: str | None = None) -> BatchPayload:
        """An empty batch that is open for appends; one that is abandoned expires."""
        body = Multipart()
        body.add_field("options", json.dumps(options or {}).encode())
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        answer = self._wire.call("POST", "/v1/batches?draft=true", body=body, headers=headers)
        return cast("BatchPayload", answer.json())

    def append(self, batch_id: str, part_number: int, sources: Iterable[Source]) -> BatchPayload:
        """Append images. A part that is sent again with its number arrives once."""
        body = Multipart()
        add_sources(body, sources)
        path = with_query(f"/v1/batches/{identifier(batch_id)}/items", part_number=part_number)
        return cast("BatchPayload", self._wire.call("POST", path, body=body).json())

    def put_manifest(self, batch_id: str, manifest: Path | bytes) -> BatchPayload:
        """Give the images of a draft the ids, views and metadata of a manifest, CSV or NDJSON."""
        text = manifest if isinstance(manifest, bytes) else read(manifest)
        headers = {"Content-Type": manifest_kind(text)}
        path = f"/v1/batches/{identifier(batch_id)}/manifest"
        return cast("BatchPayload", self._wire.call("PUT", path, body=text, headers=headers).json())

    def finalize(self, batch_id: str) -> BatchPayload:
        """Close a draft to appends; workers begin."""
        return cast("BatchPayload", post(self._wire, f"/v1/batches/{identifier(batch_id)}/finalize"))
