"""The typed Python client of the HTTP API.

    with Client("http://127.0.0.1:8000", key) as client:
        batch = client.submit(["images/"], options={"metadata": {"line": "A3"}})
        batch = client.wait(batch["id"])
        for item in client.items(batch["id"], sort="-score"):
            print(item["filename"], item["verdict"], item["score"])

A client keeps one connection and belongs to one thread. Errors are ApiError (the service said no),
Unreachable (no service answered within `patience_s`) and UnusableInput (a file is missing or changed).
"""

from __future__ import annotations

import contextlib
import json
import ssl
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import quote, urlencode

from shared.client.errors import ApiError, Unreachable, UnusableInput
from shared.client.in_parts import PART_BYTES, PARTS_FROM, Broken, Told, submit_in_parts
from shared.client.multipart import Multipart
from shared.client.places import identifier, of_tenant
from shared.client.sources import Skipped, Source, add_sources
from shared.client.transport import Progress, Transport
from shared.contract.options import Options
from shared.contract.quotas import QuotaChange, QuotasPayload
from shared.contract.states import FINISHED_BATCH

if TYPE_CHECKING:  # for the types alone: the client needs no database library
    from shared.contract.audit import AuditEntryPayload
    from shared.contract.batches import BatchPayload
    from shared.contract.items import ItemPayload
    from shared.contract.keys import ApiKeyPayload
    from shared.contract.model_versions import ModelPayload
    from shared.contract.parts import PartPayload
    from shared.contract.predictions import PredictionPayload
    from shared.contract.workers import WorkerPayload

__all__ = ["ApiError", "Client", "Options", "Unreachable", "UnusableInput"]
_LINE_END = b"\n"


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """`incomplete`: the batch still runs, so that some items have no verdict yet. `blocks` raise ResultsCut."""

    incomplete: bool
    blocks: Iterator[bytes]


class Client:
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
        self._seen: dict[str, tuple[str, BatchPayload]] = {}  # batch id → ETag and the batch as last answered

    @property
    def url(self) -> str:
        return self._wire.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()

    # Batches

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
        part_bytes: int = PART_BYTES,
        parts_from: int = PARTS_FROM,
        resume: str | None = None,
    ) -> BatchPayload:
        """Send files, folders (the images below them, by content) and (name, bytes), or one zip or tar.

        `manifest` is CSV or NDJSON with filename, custom_id, part_id, view and metadata of each image.
        `skipped(name, reason)` is called for each file of a folder that is not sent. Every try carries the same
        Idempotency-Key, so that a try after a broken connection does not make a second batch.

        From `parts_from` bytes on, images are sent in parts of `part_bytes`: a broken connection costs one part, and
        `broken(sent, total, reason)` is called. `resume` names such a batch that this client or another left open.
        """
        if isinstance(sources, str | Path):
            sources = [sources]
        body = Multipart()
        # Sent even if empty, and first: once the service knows the options, it starts on a batch that still comes in.
        asked = json.dumps(options or {}).encode()
        body.add_field("options", asked)
        text = manifest if isinstance(manifest, bytes | None) else _read(manifest)
        if text is not None:
            body.add_field("manifest", text, "text/csv")
        add_sources(body, sources, skipped)
        key, told = idempotency_key or uuid.uuid4().hex, Told(progress, broken)
        if resume is None and (body.has_archive or body.length < parts_from):
            return cast("BatchPayload", told.call(self._wire, "/v1/batches", body, 0, body.length, key))
        if body.has_archive:
            raise UnusableInput("an archive is sent in one request: only images are sent in parts")
        return submit_in_parts(
            self._wire, body, asked, text, told, key=key, part_bytes=part_bytes, resume=resume
        )

    def batch(self, batch_id: str, *, wait: float | None = None) -> BatchPayload:
        """The batch now; with `wait` (seconds, at most 60), once it has changed since this client last read it."""
        path = f"/v1/batches/{identifier(batch_id)}"
        etag, known = self._seen.get(batch_id, ("", None))
        headers = {"If-None-Match": etag} if known is not None else {}
        query = f"?wait={wait:g}" if wait else ""
        answer = self._wire.call("GET", path + query, headers=headers, hold_s=wait or 0.0)
        if answer.status == 304 and known is not None:
            return known
        batch = cast("BatchPayload", answer.json())
        self._seen.pop(batch_id, None)
        if batch["status"] not in FINISHED_BATCH and "ETag" in answer.headers:
            self._seen[batch_id] = (answer.headers["ETag"], batch)
        return batch

    def watch(
        self, batch_id: str, *, timeout_s: float | None = None, hold_s: float = 20.0
    ) -> Iterator[BatchPayload]:
        """The batch now and after each change, ending with the finished one; raises TimeoutError."""
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        batch = self.batch(batch_id)
        yield batch
        while batch["status"] not in FINISHED_BATCH:
            left = hold_s if ends_at is None else min(hold_s, ends_at - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"{batch_id} is still {batch['status']} after {timeout_s:g} s")
            batch = self.batch(batch_id, wait=max(left, 0.1))
            yield batch

    def wait(self, batch_id: str, *, timeout_s: float | None = None) -> BatchPayload:
        """The finished batch; raises TimeoutError."""
        *_, batch = self.watch(batch_id, timeout_s=timeout_s)
        return batch

    def batches(self, **filters: Any) -> Iterator[BatchPayload]:
        """Every batch of this key's tenant, active first; filters as in the API (status, q, limit, …)."""
        return cast("Iterator[BatchPayload]", self._pages("/v1/batches", filters))

    def items(self, batch_id: str, **filters: Any) -> Iterator[ItemPayload]:
        """Every item of a batch, page by page; filters as in the API (status, verdict, sort, limit, …)."""
        path = f"/v1/batches/{identifier(batch_id)}/items"
        return cast("Iterator[ItemPayload]", self._pages(path, {"limit": 1000, **filters}))

    def results(self, batch_id: str, format: str = "ndjson") -> Iterator[bytes]:
        """The result file as it is streamed: line by line (without its end) for ndjson and csv.

        Raises ResultsCut where the file breaks off before its end.
        """
        rest = b""
        with self.results_file(batch_id, format) as file:
            for block in file.blocks:
                lines = (rest + block).split(_LINE_END)
                rest = lines.pop()
                yield from lines
        if rest:
            yield rest

    @contextlib.contextmanager
    def results_file(
        self, batch_id: str, format: str = "ndjson", *, spreadsheet: bool = True
    ) -> Iterator[ResultsFile]:
        """The result file in blocks (csv or ndjson), and whether the batch still runs.

        `spreadsheet=False`: names in CSV exactly as sent, also those that a spreadsheet would run as a formula.
        """
        path = f"/v1/batches/{identifier(batch_id)}/results?format={quote(format)}"
        path += "" if spreadsheet else "&spreadsheet=false"
        with self._wire.stream(path, {"Accept": "*/*"}) as (answer, blocks):
            yield ResultsFile(incomplete=answer.headers.get("X-Incomplete") == "true", blocks=blocks)

    def parts(self, batch_id: str | None = None, **filters: Any) -> Iterator[PartPayload]:
        """The parts of a batch, or those of all batches; filters as in the API (part_id, lot, order, verdict, …)."""
        path = "/v1/parts" if batch_id is None else f"/v1/batches/{identifier(batch_id)}/parts"
        return cast("Iterator[PartPayload]", self._pages(path, {"limit": 200, **filters}))

    def cancel(self, batch_id: str) -> BatchPayload:
        """Stop a batch; ApiError 409 when it has finished."""
        return cast("BatchPayload", self._post(f"/v1/batches/{identifier(batch_id)}/cancel"))

    def pause(self, batch_id: str) -> BatchPayload:
        """Hold what has not begun; ApiError 409 when the batch has finished."""
        return cast("BatchPayload", self._post(f"/v1/batches/{identifier(batch_id)}/pause"))

    def resume(self, batch_id: str) -> BatchPayload:
        """Go on with a paused batch; ApiError 409 when it has finished."""
        return cast("BatchPayload", self._post(f"/v1/batches/{identifier(batch_id)}/resume"))

    def retry(self, batch_id: str) -> BatchPayload:
        """Judge the failed items of a finished batch again; ApiError 409 when it has none, or runs."""
        return cast("BatchPayload", self._post(f"/v1/batches/{identifier(batch_id)}/retry"))

    def delete(self, batch_id: str) -> None:
        """Remove a batch, its items and its bytes; ApiError 409 while it runs."""
        self._wire.call("DELETE", f"/v1/batches/{identifier(batch_id)}")

    def predict(self, source: Path | tuple[str, bytes]) -> PredictionPayload:
        """A single image, through the interactive lane, answered with its verdict."""
        if isinstance(source, tuple):
            name, data = source
        else:
            name, data = source.name, _read(source)
        body = Multipart()
        body.add_image(name, data, len(data), field="file")
        answer = self._wire.call("POST", "/v1/predict", body=body, hold_s=30.0, patience_s=10.0)
        return cast("PredictionPayload", answer.json())

    # Model versions

    def models(self, *, tenant: str | None = None) -> Iterator[ModelPayload]:
        """Every model version this key may use; an operator may name a tenant, or `*` for the installation."""
        return cast("Iterator[ModelPayload]", self._pages("/v1/models", {"tenant": tenant} if tenant else {}))

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
        answer = self._wire.call("POST", path, body=_read(artifact), headers=headers)
        return cast("ModelPayload", answer.json())

    def activate_model(self, model_id: str, *, tenant: str | None = None) -> ModelPayload:
        """Let new batches use this version, which must be ready."""
        path = f"/v1/models/{identifier(model_id)}/activate" + of_tenant(tenant)
        return cast("ModelPayload", self._post(path))

    def rollback_model(self, model_id: str, *, tenant: str | None = None) -> ModelPayload:
        """Go back to this version, which was active before."""
        path = f"/v1/models/{identifier(model_id)}/rollback" + of_tenant(tenant)
        return cast("ModelPayload", self._post(path, once=True))

    # Keys, workers, health

    def keys(self, *, tenant: str | None = None) -> Iterator[ApiKeyPayload]:
        """The keys of this key's tenant, without their secrets; an operator may name a tenant, or `*` for all."""
        return cast("Iterator[ApiKeyPayload]", self._pages("/v1/api-keys", {"tenant": tenant}))

    def create_key(
        self, name: str, scopes: Iterable[str], *, expires_at: str | None = None, tenant: str | None = None
    ) -> ApiKeyPayload:
        """A new key; its `secret` is in this answer and nowhere else. `expires_at` is an RFC 3339 time."""
        asked: dict[str, Any] = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
        return cast("ApiKeyPayload", self._post("/v1/api-keys" + of_tenant(tenant), asked, once=True))

    def rotate_key(
        self,
        key_id: str,
        *,
        grace: float | None = None,
        expires_at: str | None = None,
        tenant: str | None = None,
    ) -> ApiKeyPayload:
        """A new key in place of this one, which lives on for `grace` seconds (a day where absent)."""
        given = {"grace": grace, "expires_at": expires_at}
        asked = {name: value for name, value in given.items() if value is not None}
        path = f"/v1/api-keys/{identifier(key_id)}/rotate" + of_tenant(tenant)
        return cast("ApiKeyPayload", self._post(path, asked, once=True))

    def delete_key(self, key_id: str, *, tenant: str | None = None) -> None:
        """Revoke a key and end its sessions."""
        self._wire.call("DELETE", f"/v1/api-keys/{identifier(key_id)}" + of_tenant(tenant))

    def audit(self, **filters: Any) -> Iterator[AuditEntryPayload]:
        """The audit trail, newest first; `filters` are the query of GET /v1/audit."""
        return cast("Iterator[AuditEntryPayload]", self._pages("/v1/audit", filters))

    def quotas(self, *, tenant: str | None = None) -> QuotasPayload:
        """What this key's tenant uses and what it may; an operator may name a tenant."""
        return cast("QuotasPayload", self._wire.call("GET", "/v1/quotas" + of_tenant(tenant)).json())

    def set_quotas(self, change: QuotaChange, *, tenant: str | None = None) -> QuotasPayload:
        """Set bounds of a tenant, as an operator; None goes back to the installation's bound."""
        body, headers = json.dumps(change).encode(), {"Content-Type": "application/json"}
        path = "/v1/quotas" + of_tenant(tenant)
        return cast("QuotasPayload", self._wire.call("PATCH", path, body=body, headers=headers).json())

    def workers(self) -> Iterator[WorkerPayload]:
        """The live workers."""
        return cast("Iterator[WorkerPayload]", self._pages("/v1/workers", {}))

    def ready(self) -> bool:
        """Whether the service, its database, its broker and a worker are all there now; never raises."""
        try:
            return self._wire.call("GET", "/readyz", patience_s=0.0).status == 200
        except (ApiError, Unreachable):
            return False

    def readiness(self) -> dict[str, str]:
        """The checks of /readyz: `ok`, or what is wrong, for each part; raises Unreachable or ApiError."""
        return dict(self._wire.call("GET", "/readyz", patience_s=0.0).json()["checks"])

    def _post(self, path: str, asked: Mapping[str, Any] | None = None, *, once: bool = False) -> Any:
        body = b"" if asked is None else json.dumps(asked).encode()
        headers = {"Content-Type": "application/json"}
        return self._wire.call("POST", path, body=body, headers=headers, repeatable=not once).json()

    def _pages(self, path: str, filters: Mapping[str, Any]) -> Iterator[Any]:
        query = {name: value for name, value in filters.items() if value is not None}
        while True:
            page = self._wire.call("GET", f"{path}?{urlencode(query)}" if query else path).json()
            yield from page["data"]
            if not page.get("has_more"):
                return
            query["cursor"] = page["next_cursor"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from error
