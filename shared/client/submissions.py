"""Submissions: images, folders and archives as batches, and one image as a prediction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shared.client.calls import JSON, read
from shared.client.errors import UnusableInput
from shared.client.in_parts import PART_BYTES, PARTS_FROM, Broken, Told, manifest_kind, submit_in_parts
from shared.client.multipart import Multipart
from shared.client.places import with_query
from shared.client.sources import Skipped, Source, add_sources
from shared.client.transport import Progress, Transport
from shared.contract.options import Options

if TYPE_CHECKING:
    from shared.contract.batches import BatchPayload
    from shared.contract.inputs import Input
    from shared.contract.predictions import PredictionPayload


class Submissions:
    """Send images."""

    _wire: Transport

    def submit(
        self,
        sources: Iterable[Source] | str | Path,
        options: Options | None = None,
        *,
        manifest: Path | bytes | None = None,
        idempotency_key: str | None = None,
        progress: Progress | None = None,
        skipped: Skipped | None = None,
        broken: Broken | None = None,
        opened: Callable[[str], None] | None = None,
        secret: Callable[[str], None] | None = None,
        part_bytes: int | None = None,
        resume: str | None = None,
    ) -> BatchPayload:
        """Send files, folders (the images below them, by content) and (name, bytes), or one zip or tar.

        `manifest` is CSV or NDJSON with filename, custom_id, part_id, view and metadata of each image.
        `skipped(name, reason)` is called for each file of a folder that is not sent. Every try carries the same
        Idempotency-Key, so that a try after a broken connection does not make a second batch.

        With `part_bytes`, and from 256 MiB on in any case, images are sent in parts to a draft, whose id `opened` is
        told; `secret` is told its new webhook secret. A broken connection costs one part, and
        `broken(sent, total, reason)` is called. `resume` names such a draft that this client or another left open: the
        files that it does not hold are sent. Raises OtherImages, and leaves the draft open, where it holds an image
        that is none of the files.
        """
        if isinstance(sources, str | Path):
            sources = [sources]
        body = Multipart()
        # Sent even if empty, and first: once the service knows the options, it starts on a batch that still comes in.
        body.add_field("options", json.dumps(options or {}).encode())
        text = manifest if isinstance(manifest, bytes | None) else read(manifest)
        if text is not None:
            body.add_field("manifest", text, manifest_kind(text))
        add_sources(body, sources, skipped)
        key, told = idempotency_key or uuid.uuid4().hex, Told(progress, broken, opened, secret)
        asks_for_parts = resume is not None or part_bytes is not None
        if body.has_archive and asks_for_parts:
            raise UnusableInput("an archive is sent in one request: only images are sent in parts")
        if not asks_for_parts and (body.has_archive or body.length < PARTS_FROM):
            return cast("BatchPayload", told.call(self._wire, "/v1/batches", body, 0, body.length, key))
        return submit_in_parts(
            self._wire,
            body,
            options or {},
            text,
            told,
            key=key,
            part_bytes=part_bytes or PART_BYTES,
            resume=resume,
        )

    def submit_inputs(
        self,
        inputs: Sequence[Input],
        options: Options | None = None,
        *,
        wait: float | None = None,
        idempotency_key: str | None = None,
    ) -> BatchPayload:
        """A submission as JSON. `wait`: seconds to hold the answer until the batch has ended, at most 60."""
        asked: dict[str, object] = {"inputs": list(inputs), "options": options or {}}
        headers = {**JSON, "Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        path, body = with_query("/v1/batches", wait=wait), json.dumps(asked).encode()
        answer = self._wire.call("POST", path, body=body, headers=headers, hold_s=wait or 0.0)
        return cast("BatchPayload", answer.json())

    def predict(self, source: Path | tuple[str, bytes], *, model: str | None = None) -> PredictionPayload:
        """A single image, through the interactive lane, answered with its verdict. `model` is an id or a name."""
        if isinstance(source, tuple):
            name, data = source
        else:
            name, data = source.name, read(source)
        body = Multipart()
        body.add_image(name, data, len(data), field="file")
        path = with_query("/v1/predict", model=model)
        answer = self._wire.call("POST", path, body=body, hold_s=30.0, patience_s=10.0)
        return cast("PredictionPayload", answer.json())
