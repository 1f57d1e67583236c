"""Drafts of a tenant: finalize one, and give the images of one their tags."""

from typing import IO

from shared.access import audit
from shared.access.audit import Actor
from shared.lifecycle import closing, drafts, tagging
from shared.lifecycle.fetches import FIRST_PACK
from shared.store.records import BatchRecord
from web.http.problems import HttpProblem
from web.resources import batches
from web.service import Service
from web.upload.capacity import check_stored
from web.upload.manifest import Manifest


def finalize(here: Service, tenant: str, batch_id: str, actor: Actor) -> BatchRecord:
    """Close a draft and return the batch; closing it again does nothing. Raises 404, 409 for any other batch,
    and 429 over a quota."""
    batches.find(here, tenant, batch_id)
    with here.database.write() as connection:
        closed = drafts.finalize(connection, batch_id)
        if closed is not None:
            check_stored(here.capacity.bounds(tenant), closed.stored)
            audit.append(connection, actor, "batch.finalize", tenant=tenant, object_id=batch_id)
    row = batches.find(here, tenant, batch_id)
    if closed is None and not (row.sealed and row.draft is not None):
        why = "holds no image" if row.draft is not None else "is no draft"
        raise HttpProblem(409, "wrong_state", f"{batch_id} {why}")
    if closed is not None:
        # An append whose process died has left packs that no row names; no append can commit any more. A pack
        # that a fetch writes at this moment has no row yet, and stays.
        with here.database.read() as connection:
            named = drafts.packs(connection, batch_id)
        here.blobs.delete_other_packs(batch_id, named, below=FIRST_PACK)
    if closed is not None and closed.abort:
        with here.database.write() as connection:
            closing.abort(connection, batch_id)
    if closed is not None and (closed.abort or closed.open == 0):
        here.complete(batch_id)
    here.waiting.wake(batch_id)
    return batches.find(here, tenant, batch_id)


def tag(here: Service, tenant: str, batch_id: str, text: IO[bytes], actor: Actor) -> BatchRecord:
    """Give the images of a draft the tags of a manifest, in place of those they have. Raises 404, 409 or 422."""
    manifest = Manifest(text, here.settings.max_batch_items, here.blobs.spool_folder())
    batches.find(here, tenant, batch_id)
    with here.database.read() as connection:
        manifest.take_late(tagging.stored(connection, batch_id))
    manifest.check_taken()
    with here.database.write() as connection:
        tagged = tagging.retag(connection, batch_id, manifest.late(), here.settings.draft_s)
        if tagged is None:
            raise HttpProblem(409, "wrong_state", f"{batch_id} is no draft")
        audit.append(connection, actor, "batch.tag", tenant=tenant, object_id=batch_id, images=tagged)
    return batches.find(here, tenant, batch_id)
