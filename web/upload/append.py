"""A part of a draft: received whole, then committed with its number in one transaction; or undone."""

from dataclasses import replace

from shared.access import audit
from shared.access.audit import SERVICE, Actor
from shared.clock import now
from shared.contract.options import Options
from shared.contract.problems import ErrorEntry
from shared.lifecycle import drafts, uploads
from shared.lifecycle.drafts import Reserved
from shared.lifecycle.received import Piece
from shared.lifecycle.tagging import Stored
from web.http.problems import HttpProblem
from web.service import Service
from web.upload.body import Body
from web.upload.intake import Intake
from web.upload.manifest import Manifest
from web.upload.manifest_text import refused
from web.upload.memory import ITEM_BYTES
from web.upload.receive import check_header, receive

_MOST_ITEMS = 200_000  # of a part, which are in memory until it is whole


def append(
    service: Service, tenant: str, batch_id: str, number: int, body: Body, actor: Actor = SERVICE
) -> bool:
    """Add the images of a body to a draft; False if the part of this number had arrived before.

    Raises 404 or 409 where the tenant has no such draft, and 422 if the number was used for other content.
    """
    most = service.settings.max_request_bytes
    check_header(body, most)
    service.capacity.check(tenant, body.length or 0)
    with service.database.write() as connection:
        reserved = drafts.reserve(connection, tenant, batch_id, service.settings.draft_s)
        known = None if reserved is None else drafts.fingerprint(connection, batch_id, number)
    if reserved is None:
        raise _no_draft(batch_id)
    intake = _PartIntake(service, tenant, batch_id, reserved, store=known is None, actor=actor)
    try:
        with intake.memory:
            receive(body, intake, most)
            if known is None and intake.commit(number):
                return True
        if known is None:  # another request with this number was quicker
            with service.database.read() as connection:
                known = drafts.fingerprint(connection, batch_id, number)
            intake.abandon()
    except BaseException:
        intake.abandon()
        raise
    if known != intake.fingerprint():
        detail = f"part {number} of this draft has arrived with other content"
        entry = ErrorEntry(code="part_number_reused", pointer="/query/part_number", detail=detail)
        raise HttpProblem(422, "part_number_reused", detail, errors=[entry])
    return False


def _no_draft(batch_id: str) -> HttpProblem:
    return HttpProblem(409, "wrong_state", f"{batch_id} is no draft: it is finalized, or never was one")


class _PartIntake(Intake):
    """Keeps its packs without rows until the whole part is there."""

    def __init__(
        self, service: Service, tenant: str, batch_id: str, reserved: Reserved, *, store: bool, actor: Actor
    ) -> None:
        options: Options = {"priority": reserved.lane, **reserved.options}  # type: ignore[typeddict-item]
        super().__init__(service, tenant, options=options, store=store, actor=actor)
        self.batch = replace(self.batch, id=batch_id)
        self._pack = self._first_pack = reserved.first_pack
        self._pieces: list[Piece] = []

    def _commit(self, *, seal: bool = False, **_: object) -> int:
        """Make the pack in hand durable."""
        if self._pack == self._first_pack + drafts.PACKS or self.total > _MOST_ITEMS:
            raise HttpProblem(413, "request_too_large", f"a part may have {_MOST_ITEMS} images: send several")
        if self._writer is not None:
            size = self._writer.size
            self.memory.hold(ITEM_BYTES * len(self._items))  # until the part is whole
            self._writer.close()
            self._pieces.append(Piece(self._pack, size, self._items))
            self._items, self._writer = [], None
            self._pack += 1
        return 0

    def commit(self, number: int) -> bool:
        """Commit the part and announce its chunks; False if a part of this number has arrived meanwhile."""
        if self.total == 0:
            raise HttpProblem(400, "no_images", self.skipped.sentence(), errors=self.skipped.errors())
        self._commit()
        if self.manifest is not None:
            if self._manifest_is_late:
                self._tag_pieces(self.manifest)
            self.manifest.check_taken()
        try:
            self._write(number)
        except drafts.PartArrived:
            return False
        assert self.options is not None  # those of the draft
        for _ in [run for piece in self._pieces for run in piece.runs]:
            self.service.announcer.chunk_queued(self.options["priority"])
        return True

    def _write(self, number: int) -> None:
        items = [item for piece in self._pieces for item in piece.items]
        ids = [item.tags.custom_id for item in items if item.tags and item.tags.custom_id is not None]
        counts = uploads.counts(self._pieces)
        lease_s, lane = self.settings.draft_s, (self.options or {})["priority"]
        with self.service.database.write() as connection:
            first = drafts.grow(connection, self.batch_id, number, self.fingerprint(), counts, lease_s)
            if first is None:
                raise _no_draft(self.batch_id)
            if first + len(items) > self.settings.max_batch_items:
                most = self.settings.max_batch_items
                raise HttpProblem(413, "too_many_items", f"a batch holds at most {most} items")
            if (taken := drafts.taken(connection, self.batch_id, ids)) and self.manifest is not None:
                raise refused(self.manifest.repeats(taken))
            for piece in self._pieces:
                moved = [replace(item, seq=first + item.seq) for item in piece.items]
                uploads.add(
                    connection, self.batch_id, replace(piece, items=moved), lane, at=now(), hold=False
                )
            audit.append(
                connection,
                self._actor,
                "batch.append",
                tenant=self.batch.tenant,
                object_id=self.batch_id,
                part=number,
                items=len(items),
            )

    def _tag_pieces(self, manifest: Manifest) -> None:
        """Give the images their tags from a manifest that came after them."""
        manifest.take_late(
            Stored(item.seq, item.filename, (piece.pack, item.offset), item.frame)
            for piece in self._pieces
            for item in piece.items
        )
        tags = {seq: each for some in manifest.late() for seq, each in some.items()}
        self._pieces = [
            replace(piece, items=[replace(item, tags=tags.get(item.seq)) for item in piece.items])
            for piece in self._pieces
        ]

    def renew(self) -> None:
        """The lease of a draft is long, and each part renews it."""

    def abandon(self) -> None:
        """Remove the packs that have no rows."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        for piece in self._pieces:
            self.service.blobs.pack_path(self.batch_id, piece.pack).unlink(missing_ok=True)
