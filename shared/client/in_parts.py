"""A submission in parts: a broken connection costs the part in hand, and the client goes on with it by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from shared.client.multipart import Multipart
from shared.client.transport import Progress, Transport

if TYPE_CHECKING:
    from shared.contract.batches import BatchPayload

PART_BYTES = 32 * 2**20
PARTS_FROM = 256 * 2**20  # a smaller submission is one request: workers then begin with its first chunk
_PART_IMAGES = 10_000
Broken = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Told:
    """The functions that are told how far a submission is, that its connection broke, so far, for this reason, and the
    id of the draft that takes its parts."""

    progress: Progress | None = None
    broken: Broken | None = None
    opened: Callable[[str], None] | None = None

    def call(
        self, wire: Transport, path: str, body: Multipart, before: int, total: int, key: str = ""
    ) -> Any:
        """POST a body of which `before` bytes of the submission were sent already; the answer's JSON."""

        def moved(sent: int, _: int) -> None:
            if self.progress is not None:
                self.progress(min(before + sent, total), total)

        def broke(reason: str) -> None:
            if self.broken is not None:
                self.broken(before, total, reason)

        headers = {"Idempotency-Key": key} if key else {}
        return wire.call("POST", path, body=body, headers=headers, progress=moved, broken=broke).json()


def submit_in_parts(
    wire: Transport,
    body: Multipart,
    options: bytes,
    manifest: bytes | None,
    told: Told,
    *,
    key: str,
    part_bytes: int,
    resume: str | None,
) -> BatchPayload:
    """Make a draft, or take up one that was begun with the same files, send what has not arrived, and finalize it."""
    if resume is None:
        form = Multipart()
        form.add_field("options", options)
        made = wire.call("POST", "/v1/batches?draft=true", body=form, headers={"Idempotency-Key": key}).json()
    else:
        made = wire.call("GET", f"/v1/batches/{quote(resume, safe='')}").json()
    if told.opened is not None:
        told.opened(made["id"])
    path = f"/v1/batches/{quote(made['id'], safe='')}"
    arrived = [range(first, last + 1) for first, last in made.get("draft", {}).get("part_numbers", [])]
    sent, parts = 0, body.split(part_bytes, _PART_IMAGES)
    total = sum(part.length for part in parts)
    for number, part in enumerate(parts, 1):
        if not any(number in numbers for numbers in arrived):
            told.call(wire, f"{path}/items?part_number={number}", part, sent, total)
        sent += part.length
    if manifest is not None:
        wire.call("PUT", f"{path}/manifest", body=manifest, headers={"Content-Type": manifest_kind(manifest)})
    batch = wire.call("POST", f"{path}/finalize", body=b"").json()
    if "webhook_secret" in made:
        batch["webhook_secret"] = made["webhook_secret"]
    return cast("BatchPayload", batch)


def manifest_kind(manifest: bytes) -> str:
    """The media type of a manifest: each line of NDJSON is an object, so that it begins with a brace."""
    return "application/x-ndjson" if manifest.lstrip()[:1] == b"{" else "text/csv"
