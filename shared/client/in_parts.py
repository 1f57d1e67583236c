"""A submission in parts: a broken connection costs the part in hand, and the client goes on with it by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from shared.client.arrived import found
from shared.client.calls import get, pages
from shared.client.errors import ApiError, OtherImages
from shared.client.multipart import File, Multipart
from shared.client.places import identifier
from shared.client.transport import Progress, Transport
from shared.contract.options import Options
from shared.json_text import JsonObject

if TYPE_CHECKING:
    from shared.contract.batches import BatchPayload

PART_BYTES = 32 * 2**20
PARTS_FROM = 256 * 2**20  # a smaller submission is one request: workers then begin with its first chunk
_PART_IMAGES = 10_000
Broken = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Told:
    """The functions that are told how far a submission is, that its connection broke, so far, for this reason, the id
    of the draft that takes its parts, and the draft's new webhook secret."""

    progress: Progress | None = None
    broken: Broken | None = None
    opened: Callable[[str], None] | None = None
    secret: Callable[[str], None] | None = None

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
    options: Options,
    manifest: bytes | None,
    told: Told,
    *,
    key: str,
    part_bytes: int,
    resume: str | None,
) -> BatchPayload:
    """Make a draft, or take up one that was begun, send the files that it does not hold, and finalize it.

    The draft's images are compared by name and content, not by the numbers of their parts: the files may have been cut
    into other parts, and files may have come since. Raises OtherImages where the draft holds any other image.
    """
    if resume is None:
        form = Multipart()
        form.add_field("options", json.dumps(options).encode())
        made = wire.call("POST", "/v1/batches?draft=true", body=form, headers={"Idempotency-Key": key}).json()
    else:
        made = get(wire, f"/v1/batches/{identifier(resume)}")
        _check_options(made, options)
    path = f"/v1/batches/{identifier(made['id'])}"
    if told.opened is not None:
        told.opened(made["id"])
    if told.secret is not None and "webhook_secret" in made:
        told.secret(made["webhook_secret"])
    _fill(wire, path, made, body, part_bytes, told)
    if manifest is not None and "draft" in made:
        wire.call("PUT", f"{path}/manifest", body=manifest, headers={"Content-Type": manifest_kind(manifest)})
    batch = wire.call("POST", f"{path}/finalize", body=b"").json()
    if "webhook_secret" in made:
        batch["webhook_secret"] = made["webhook_secret"]
    return cast("BatchPayload", batch)


def _fill(
    wire: Transport, path: str, batch: BatchPayload, body: Multipart, part_bytes: int, told: Told
) -> None:
    """Send the files that the draft does not hold; afterwards it holds each file once, or this raises OtherImages."""
    files = body.files()
    used = [range(first, last + 1) for first, last in batch.get("draft", {}).get("part_numbers", [])]
    # The service reads the numbers after the counts, and a part may arrive in between. The items are read after both.
    arrived = _arrived(wire, path, batch, files) if used or batch["counts"]["total"] else set[int]()
    parts = body.split(part_bytes, _PART_IMAGES, arrived)
    sent = sum(files[place].size for place in arrived)
    total = sent + sum(part.length for part in parts)
    free = (number for number in count(1) if not any(number in numbers for numbers in used))
    for number, part in zip(free, parts, strict=False):
        try:
            batch = told.call(wire, f"{path}/items?part_number={number}", part, sent, total)
        except ApiError as error:
            if error.code != "part_number_reused":
                raise
            now = get(wire, path)
            if now["counts"]["total"] == batch["counts"]["total"]:
                raise
            # The part that was on its way as the last sender ended has arrived after we asked: look again.
            _fill(wire, path, now, body, part_bytes, told)
            return
        sent += part.length
    # An image may be several items, or another sender may have been here: then all of them are compared.
    if batch["counts"]["total"] != len(files) and len(_arrived(wire, path, batch, files)) < len(files):
        raise OtherImages(f"{batch['id']} holds fewer images than were sent to it: it is not finalized")


def _arrived(wire: Transport, path: str, batch: BatchPayload, files: Sequence[File]) -> set[int]:
    """The places of the files that the batch holds. Raises OtherImages, and ApiError 409 where it takes no more."""
    try:
        places = found(batch["id"], pages(wire, f"{path}/items", {"limit": 1000}), files)
    except OtherImages:
        if "draft" in batch:
            raise
        places = set()
    if "draft" not in batch and len(places) < len(files):
        raise ApiError(
            409, "wrong_state", f"{batch['id']} is no draft, and holds other images than these files"
        )
    return places


def _check_options(batch: BatchPayload, options: Options) -> None:
    """A draft keeps the options that it was made with. Raises OtherImages where another value is asked for."""
    made: JsonObject = batch["draft"].get("options", {}) if "draft" in batch else {}
    # A batch that is finalized shows some of its options, and so does a draft of a version that kept less.
    model = batch.get("model")
    known: JsonObject = made if "priority" in made else {**batch, "model": model and model["id"]}
    wrong = [
        f"{option} {known.get(option)!r}, not {asked!r}"
        for option, asked in options.items()
        if (option in known or known is made) and not _is_as_made(option, asked, known.get(option), batch)
    ]
    if wrong:
        raise OtherImages(
            f"{batch['id']} was made with {'; '.join(wrong)}: resume it with the options that its sending began with, "
            "or delete it and submit again"
        )


def _is_as_made(option: str, asked: object, made: object, batch: BatchPayload) -> bool:
    """Whether the value of an option is that of the draft: a model by its id or name, a webhook without its secret."""
    if option == "model":
        return asked in (made, *(batch.get("model") or {}).values())
    if isinstance(asked, dict) and option in ("webhook", "operating_point"):
        return isinstance(made, dict) and all(
            made.get(name) == value for name, value in asked.items() if name != "secret"
        )
    return bool(asked == made)


def manifest_kind(manifest: bytes) -> str:
    """The media type of a manifest: each line of NDJSON is an object, so that it begins with a brace."""
    return "application/x-ndjson" if manifest.lstrip()[:1] == b"{" else "text/csv"
