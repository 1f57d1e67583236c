"""Reruns of a tenant's batches, and diffs between them."""

from typing import NamedTuple, cast

from shared.access import audit
from shared.access.audit import Actor
from shared.clock import now
from shared.contract.options import LABELS, Options
from shared.contract.reruns import DiffCount, DiffEntry, DiffPayload, DiffQuery, RerunRequest
from shared.ids import item_id, new_id
from shared.lifecycle import diff_counts, reruns, uploads
from shared.lifecycle.received import NewBatch, Piece
from shared.lifecycle.reruns import Kind, Pair, SourceGone
from shared.registry import versions
from shared.store.records import BatchRecord
from web.http import validators
from web.http.cursors import Cursors
from web.http.problems import HttpProblem, not_found
from web.resources import tiles
from web.resources.batches import find
from web.service import Service
from web.upload.capacity import check_stored
from web.upload.terms import terms_of


def rerun(here: Service, tenant: str, batch_id: str, asked: RerunRequest, actor: Actor) -> BatchRecord:
    """Judge the images of an ended batch by another model version, as a batch of their own; returns that batch.

    Raises 404, 409 while the batch runs, 422 for a model that is not there, and 429 or 503 where there is no room.
    """
    source = find(here, tenant, batch_id)
    if source.finished_at is None:
        why = f"a batch that is {source.status} can't be run again: wait until it has ended"
        raise HttpProblem(409, "wrong_state", why)
    here.capacity.check(tenant, source.bytes)
    made = new_id("bat")
    try:
        here.blobs.link_packs(source.id, made)
        chunks = _copied(here, source, made, _options(source, asked), actor)
    except SourceGone:
        here.blobs.delete_batch(made)
        raise not_found(f"batch {batch_id}") from None
    except BaseException:
        here.blobs.delete_batch(made)
        raise
    row = find(here, tenant, made)
    for _ in range(chunks):
        here.announcer.chunk_queued(row.lane)
    if not row.queued:
        here.complete(made)
        row = find(here, tenant, made)
    return row


def _copied(here: Service, source: BatchRecord, made: str, options: Options, actor: Actor) -> int:
    settings, bounds = here.settings, here.capacity.bounds(source.tenant)
    with here.database.write() as connection:
        model = versions.find(connection, options["model"], source.tenant)
        terms = terms_of(options, model, settings, bounds.retention_s)
        batch = NewBatch(made, source.tenant)
        uploads.open_batch(
            connection, batch, terms, Piece(0, 0, []), at=now(), lease_s=settings.upload_lease_s, hold=False
        )
        chunks = reruns.copy(connection, source, made, terms.lane)
        sealed = uploads.seal(
            connection, made, None, at=now(), most_items=settings.chunk_items, has_parts=source.parts > 0
        )
        check_stored(bounds, sealed.stored)
        uploads.note_created(connection, sealed)
        audit.append(
            connection, actor, "batch.rerun", tenant=source.tenant, object_id=made, rerun_of=source.id, model=model.id
        )  # fmt: skip
    return chunks


def _options(source: BatchRecord, asked: RerunRequest) -> Options:
    """The options of the new batch: those of the first one, but for the model and what the request names."""
    given: dict[str, object] = {label: getattr(source, label) for label in LABELS}
    given |= {
        "name": asked.get("name") or source.name,
        "metadata": source.metadata,
        "part_rule": source.part_rule,
        "expected_views": source.expected_views,
        "on_error": source.on_error,
        "priority": asked["priority"],
        "model": asked["model"],
        "operating_point": asked.get("operating_point"),
    }
    return cast(Options, validators.with_defaults(Options, given))


def diff(here: Service, tenant: str, a: str, b: str, query: DiffQuery) -> DiffPayload:
    """A page of the items that two batches with the same images judge otherwise.

    Raises 404, and 409 where the images are not the same.
    """
    pair = _comparable(here, tenant, a, b)
    found, _ = _page(here, pair, query, pair[0].total)
    if query.get("cursor"):
        return {**found, "counts": None}
    with here.database.read() as connection:
        counts = diff_counts.kept(connection, *pair)
    if counts is None and _is_large(pair) and _have_ended(pair):
        diff_counts.ask(here.database, *pair)
        counts = diff_counts.count(here.database, a, b)
    return {**found, "counts": _counted(here, pair) if counts is None else counts}


class Shown(NamedTuple):
    """A page of a diff for a person. `last`: a page that is not full has looked at the items up to this place.

    `counts` is None where the sweep has to count them first.
    """

    page: DiffPayload
    counts: list[DiffCount] | None
    last: int | None


def shown(here: Service, tenant: str, a: str, b: str, query: DiffQuery) -> Shown:
    """The diff as `diff` gives it, but no page looks at more than some thousand items."""
    pair = _comparable(here, tenant, a, b)
    found, last = _page(here, pair, query, tiles.LOOKED_AT)
    if not _is_large(pair):
        return Shown(found, None if query.get("cursor") else _counted(here, pair), last)
    with here.database.read() as connection:
        counts = diff_counts.kept(connection, *pair)
    if counts is None and _have_ended(pair):
        diff_counts.ask(here.database, *pair)
    return Shown(found, counts, last)


def _comparable(here: Service, tenant: str, a: str, b: str) -> tuple[BatchRecord, BatchRecord]:
    first, second = find(here, tenant, a), find(here, tenant, b)
    if reruns.root(first) != reruns.root(second):
        why = f"{a} and {b} have not the same images: compare a batch with its rerun"
        raise HttpProblem(409, "not_comparable", why)
    return first, second


def _is_large(pair: tuple[BatchRecord, BatchRecord]) -> bool:
    return pair[0].total > tiles.LOOKED_AT


def _have_ended(pair: tuple[BatchRecord, BatchRecord]) -> bool:
    return all(each.finished_at is not None for each in pair)


def _counted(here: Service, pair: tuple[BatchRecord, BatchRecord]) -> list[DiffCount]:
    with here.database.read() as connection:
        return reruns.matrix(connection, *pair)


def _page(
    here: Service, pair: tuple[BatchRecord, BatchRecord], query: DiffQuery, reach: int
) -> tuple[DiffPayload, int | None]:
    """A page of at most `reach` looked at items; and the place of the last of them, where others may follow."""
    a, b = pair
    limit, cursors = query["limit"], Cursors("diff", f"{a.id} {b.id}", query=query)
    cursor, kind = cursors.decode(int), Kind(query["all"], query.get("before"), query.get("after"))
    last = -1 if cursor is None else cursor[0]
    stop = last + reach
    with here.database.read() as connection:
        found = reruns.pairs(connection, a, b, (last, stop), limit + 1, kind)
    following, looked = None, None
    if len(found) > limit:
        following = cursors.encode(found[limit - 1].seq)
    elif stop < a.total - 1:
        following, looked = cursors.encode(stop), stop
    return {
        "object": "list",
        "data": [_entry(each, a.id, b.id) for each in found[:limit]],
        "has_more": following is not None,
        "next_cursor": following,
        "counts": None,
    }, looked


def _entry(pair: Pair, a: str, b: str) -> DiffEntry:
    return {
        "filename": pair.filename,
        "custom_id": pair.custom_id,
        "part_id": pair.part_id,
        "before": {
            "item_id": item_id(a, pair.seq),
            "status": pair.status_a,
            "verdict": pair.verdict_a,
            "score": pair.score_a,
        },
        "after": {
            "item_id": item_id(b, pair.seq),
            "status": pair.status_b,
            "verdict": pair.verdict_b,
            "score": pair.score_b,
        },
    }
