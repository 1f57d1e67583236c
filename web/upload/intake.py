"""Intake: a submission becomes packs and rows, chunk by chunk, while its bytes still arrive.

The order is: a pack is durable, then the rows that name it are committed, then its chunk is announced. A submission
shows in the API once it is sealed. An upload that breaks off is purged by its own request, or else by the sweep.
"""

import math
import time
from dataclasses import replace
from itertools import chain
from typing import Any

from shared.access import audit
from shared.access.audit import SERVICE, Actor
from shared.access.quotas import Bounds
from shared.blobs.packs import PackWriter
from shared.broker import queues
from shared.clock import now
from shared.contract.frames import frame_numbers
from shared.contract.manifests import Tags
from shared.contract.options import Options
from shared.contract.problems import ErrorEntry
from shared.contract.states import Lane
from shared.errors import ItemErrorCode
from shared.ids import new_id
from shared.lifecycle import idempotency, open_work, tagging, uploads
from shared.lifecycle.drafts import Kept
from shared.lifecycle.received import NewBatch, Piece, ReceivedItem
from shared.lifecycle.tagging import Stored
from shared.lifecycle.uploads import Sealed, UploadLost
from shared.registry import versions
from shared.store.records import BatchRecord
from shared.store.tallies import FAILURES, Key, Sum
from web.http.problems import HttpProblem
from web.service import Service
from web.upload import chunk_size, names
from web.upload.capacity import check_stored
from web.upload.fingerprint import Fingerprint
from web.upload.image import IncomingImage
from web.upload.manifest import Manifest, of_frame
from web.upload.memory import Share
from web.upload.options import read_options, without_secret
from web.upload.skipped import Skipped
from web.upload.terms import check_retention, terms_of

_MEASURE_EVERY_S = 1.0


class Intake:
    """A submission being received: `begin`, `write`, `end` for each image in turn, then `seal`.

    With `store=False` it keeps nothing and only makes the fingerprint, for a retry of an accepted submission.
    """

    def __init__(
        self,
        service: Service,
        tenant: str,
        *,
        origin: str = "batch",
        options: Options | None = None,
        traceparent: str | None = None,
        store: bool = True,
        key: str | None = None,
        draft: bool = False,
        actor: Actor = SERVICE,
    ) -> None:
        self.service, self.settings = service, service.settings
        self.batch = NewBatch(new_id("bat"), tenant, origin, traceparent)
        self.memory = Share(service.memory, tenant)
        self.options, self.store, self.key, self._actor = options, store, key, actor
        self.draft = draft
        self.skipped = Skipped()
        self._items: list[ReceivedItem] = []
        self._image = IncomingImage("", 0, 0)
        self._writer: PackWriter | None = None
        self._pack = 0
        self._fingerprint = Fingerprint()
        self._progress = chunk_size.Progress(self.settings, self.settings.chunk_items)
        self.manifest: Manifest | None = None
        self.inputs_sha256 = ""  # of the tags of JSON inputs
        self._manifest_is_late, self._first_in_hand = False, 0
        self._has_parts = False
        self._opened = False
        self._opened_with_options = False
        self._renewed = time.monotonic()
        self._measured = -math.inf
        self.row: BatchRecord | None = None  # of a sealed batch, unless it has changed since

    @property
    def batch_id(self) -> str:
        return self.batch.id

    @property
    def total(self) -> int:
        """Items so far, refused ones included."""
        return self._progress.items

    def expect(self, length: int | None) -> None:
        """The bytes that the request says it has: chunks become smaller towards its end."""
        self._progress.expected_bytes = length or 0

    def set_options(self, options: Options) -> None:
        """The client's options. If they come before the first image, chunks start while the upload goes on."""
        if options["frames"] == "split" and self.total:
            why = "send `options` before the first image to split files into their frames"
            entry = ErrorEntry(code="invalid_option", pointer="/options/frames", detail=why)
            raise HttpProblem(422, "invalid_options", why, errors=[entry])
        check_retention(options, self.service.capacity.bounds(self.batch.tenant).retention_s)
        self.options = options
        if options["priority"] == Lane.INTERACTIVE:
            self._progress.most_items = chunk_size.by_speed(None, self.settings, Lane.INTERACTIVE)

    def set_manifest(self, manifest: Manifest) -> None:
        """The client's manifest. If it comes after the first image, its lines wait for the seal."""
        self.manifest, self._manifest_is_late = manifest, self.total > 0

    def begin(self, filename: str) -> None:
        """Start an image."""
        self._check_most(1)
        if self._writer is None and self.store:
            self.service.capacity.check_disk()  # others may fill the disk during a long upload
            self._writer = self.service.blobs.write_pack(self.batch_id, self._pack)
        offset = self._writer.size if self._writer else 0
        self._image = IncomingImage(filename, offset, self.settings.max_item_bytes)

    def write(self, data: bytes | memoryview) -> None:
        """More bytes of the image. An image over the limit fails alone: the rest of its bytes are read and dropped."""
        if self._image.take(data):
            if self._writer is not None:
                self._writer.write(data)
        elif self._writer is not None and self._writer.size > self._image.offset:
            self._writer.truncate(self._image.offset)

    def refuse(self, code: ItemErrorCode, detail: str) -> None:
        """Fail this image's item; its bytes are not kept."""
        self._image.refuse(code, detail)
        if self._writer is not None:
            self._writer.truncate(self._image.offset)

    def end(self, tags: Tags | None = None) -> None:
        """Finish the image, which may bring its tags; a full chunk is committed and announced."""
        item, progress = self._image.end(self.total), self._progress
        self._fingerprint.add(item)
        progress.bytes += item.length
        if self._writer is None:
            progress.items += 1
            return
        found = self._frames(item)
        progress.items += len(found)
        self._items += self._tagged(found, tags)
        self._commit_if_full()

    def defer(self, filename: str, source: str, tags: Tags) -> None:
        """Take an image whose bytes a worker fetches later from its source: an item without bytes until then."""
        self._check_most(1)
        item = ReceivedItem(self.total, filename, None, 0, 0, source=source)
        self._fingerprint.add(item)
        self._progress.items += 1
        if self.store:
            self._items += self._tagged([item], tags)
            self._commit_if_full()

    def _check_most(self, coming: int) -> None:
        most = self.settings.max_batch_items
        if self.total + coming > most:
            raise HttpProblem(413, "too_many_items", f"a batch holds at most {most} items")

    def _commit_if_full(self) -> None:
        size = self._writer.size if self._writer is not None else 0
        if self._progress.is_full(self._pack, len(self._items), size):
            self._commit()

    def _frames(self, item: ReceivedItem) -> list[ReceivedItem]:
        """The items of an image file: one, or by the option `frames` one for each image in it. They share its bytes."""
        if self._writer is None or not item.length or not self.options or self.options["frames"] != "split":
            return [item]
        numbers = frame_numbers(self._writer.read(item.offset, item.length))
        self._check_most(len(numbers))
        return [
            replace(item, seq=item.seq + place, frame=number) for place, number in enumerate(numbers)
        ] or [item]

    def skip(self, filename: str, reason: str) -> None:
        """Count a file that becomes no item; the first ones are named in the batch."""
        self.skipped.add(names.shown(filename), reason)

    def renew(self) -> None:
        """Keep the claim on this upload and its key while bytes arrive, however slowly."""
        lease_s = self.settings.upload_lease_s
        if not self.store or time.monotonic() - self._renewed < lease_s / 4:
            return
        self._renewed = time.monotonic()
        if self._opened or self.key is not None:
            with self.service.database.write() as connection:
                uploads.renew(connection, self.batch_id, lease_s)

    def fingerprint(self) -> str:
        """Names, bytes and options of this submission as one hash; a draft is another submission than a batch."""
        manifest = self.manifest.sha256 if self.manifest is not None else self.inputs_sha256
        asked = dict(self.options or read_options())
        # Absent where false: a retry may come after an upgrade, and the first fingerprint is in the database.
        return self._fingerprint.of(asked | {"draft": True} if self.draft else asked, manifest)

    def seal(self) -> None:
        """Commit the last chunk and let the batch be seen; the idempotency key now answers for it."""
        if self.total == 0 and not self.draft:
            raise HttpProblem(400, "no_images", self.skipped.sentence(), errors=self.skipped.errors())
        if self.manifest is not None:
            if self._manifest_is_late:
                self._tag_late(self.manifest)
            self.manifest.check_taken()
        # While an item is open, the worker that ends the last one completes the batch. To ask here as well would only
        # hold up the worker that is about to claim.
        if self._commit(seal=True) == 0 and not self.draft:
            self.service.complete(self.batch_id)

    def _tagged(self, file: list[ReceivedItem], tags: Tags | None) -> list[ReceivedItem]:
        """The items of an image file with their tags, if they came with it or the manifest is there."""
        if self.manifest is not None and not self._manifest_is_late:
            tags = self.manifest.take(file[0].filename)
        if tags is None:
            return file
        self._has_parts = self._has_parts or tags.part_id is not None
        return [replace(item, tags=of_frame(tags, number, len(file))) for number, item in enumerate(file, 1)]

    def _tag_late(self, manifest: Manifest) -> None:
        """Give the items in hand their tags from a manifest that came after them; it keeps those of items with rows."""
        held = [
            Stored(item.seq, item.filename, (self._pack, item.offset), item.frame) for item in self._items
        ]
        with self.service.database.read() as connection:
            rows = tagging.stored(connection, self.batch_id) if self._opened else iter(())
            self._has_parts = manifest.take_late(chain(rows, held))
        self._first_in_hand = self._items[0].seq if self._items else self.total
        tags = {seq: each for some in manifest.late(self._first_in_hand) for seq, each in some.items()}
        self._items = [replace(item, tags=tags.get(item.seq)) for item in self._items]

    def _write_late(self, connection: Any) -> None:
        if self.manifest is not None and self._manifest_is_late:
            for some in self.manifest.late(0, self._first_in_hand):
                tagging.tag(connection, self.batch_id, some)

    def abandon(self) -> None:
        """Undo everything: the request broke off or was refused."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        if self._opened:
            uploads.abandon(self.service.database, self.service.blobs, self.batch_id)
        else:
            self.service.blobs.delete_batch(self.batch_id)

    def _commit(self, *, seal: bool = False) -> int:
        """Commit the pack in hand as a piece of the batch, then announce its chunk. Returns the open items at the
        seal, and 0 before it."""
        if self._writer is not None:
            self._writer.close()
        piece = Piece(self._pack, self._writer.size if self._writer else 0, self._items)
        options, settings, at = self.options or read_options(), self.settings, now()
        # Set before the commit: if the connection drops, the commit may still have succeeded.
        opening, self._opened = not self._opened, True
        if opening:
            # A worker claims with the terms in the batch's row: chunks wait unless that row is made from the options.
            self._opened_with_options = self.options is not None
        hold = not (seal or self._opened_with_options)
        bounds = self.service.capacity.bounds(self.batch.tenant)
        if not seal:
            self.service.capacity.check_room(self.batch.tenant, self._progress.bytes, self._progress.items)
        sealed: Sealed | None = None
        with self.service.database.write() as connection:
            terms = None
            # Chunks that were held are cut again, for the lane that the options name at last.
            is_released = seal and not opening and not self._opened_with_options
            if is_released or (not seal and time.monotonic() - self._measured > _MEASURE_EVERY_S):
                speed = open_work.mean_speed(connection, options["priority"], settings.lease_s)
                self._progress.most_items = chunk_size.by_speed(speed, settings, options["priority"])
                self._measured = time.monotonic()
            if opening or is_released:
                model = versions.find(connection, options.get("model"), self.batch.tenant)
                terms = terms_of(options, model, settings, bounds.retention_s)
            if seal:
                self._write_late(connection)
            if opening and terms is not None:
                sealed = uploads.open_batch(
                    connection,
                    self.batch,
                    terms,
                    piece,
                    at=at,
                    lease_s=None if seal else settings.upload_lease_s,
                    hold=hold,
                    notes=self.skipped.notes(),
                    has_parts=self._has_parts and not self.draft,
                )
            else:
                lane, lease_s = options["priority"], settings.upload_lease_s
                uploads.append(connection, self.batch_id, piece, lane, at=at, lease_s=lease_s, hold=hold)
                if seal:
                    sealed = uploads.seal(
                        connection,
                        self.batch_id,
                        terms,
                        at=at,
                        most_items=self._progress.most_items,
                        notes=self.skipped.notes(),
                        has_parts=self._has_parts and not self.draft,
                    )
            if sealed is not None:
                self._accept(connection, sealed, bounds, options)
        self.service.tallies.add(
            (Key(FAILURES, item.error[0]), Sum(1)) for item in piece.items if item.error is not None
        )
        # A message for each chunk that this commit made claimable.
        for _ in range((0 if hold else len(piece.runs)) + (sealed.released if sealed else 0)):
            self.service.announcer.chunk_queued(options["priority"])
        if piece.fetched:
            self.service.announcer.send(queues.FETCH, [], queues.FETCHES)
        self._items, self._writer = [], None
        self._pack += 1
        self.row = sealed.row if sealed and sealed.open and not self._has_parts and not self.draft else None
        return sealed.open if sealed else 0

    def _accept(self, connection: Any, sealed: Sealed, bounds: Bounds, options: Options) -> None:
        """The last word on a submission, in the transaction of its seal: quotas, its key, and the audit trail."""
        check_stored(bounds, sealed.stored)
        if self.draft:
            draft = Kept(without_secret(options), self._pack + 1)
            uploads.keep_open(connection, sealed, draft, self.settings.draft_s)
        uploads.note_created(connection, sealed, options.get("defect_rate_alert"))
        if self.key is not None:
            mine = (self.batch.tenant, self.key, self.batch_id)
            if not idempotency.finish(connection, *mine, self.fingerprint()):
                raise UploadLost("a retry of this request has taken over its key")
        # Last: until the commit, the entry holds the head of its chain.
        audit.append(
            connection,
            self._actor,
            "batch.submit",
            tenant=self.batch.tenant,
            object_id=self.batch_id,
            items=self.total,
            origin=self.batch.origin,
        )
