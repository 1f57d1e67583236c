"""Rescoring of a tenant's batch: another operating point over its stored scores."""

from collections.abc import Sequence

from sqlalchemy import Connection

from shared.access import audit, keys
from shared.access.audit import Actor
from shared.clock import rfc3339
from shared.contract.events import RESCORED
from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint
from shared.contract.rescoring import (
    RescoreAnswer,
    RescoreRequest,
    RescoringPayload,
    changes,
    rescoring_payload,
)
from shared.lifecycle import rescoring
from shared.lifecycle.part_rescoring import Flip
from shared.lifecycle.rescoring import Overtaken
from shared.store.records import BatchRecord
from shared.webhooks import owed, receivers
from web.http.problems import HttpProblem
from web.resources.batches import find
from web.service import Service

_TRIES = 3


def rescore(here: Service, tenant: str, batch_id: str, asked: RescoreRequest, actor: Actor) -> RescoreAnswer:
    """Rescore a batch, or with `dry_run` say what that would change. The point that it has already changes nothing.

    Raises 404; 409 where the batch runs, is not at the expected revision, or is rescored by others at the same time;
    422 for a point that does not fit.
    """
    for _ in range(_TRIES):
        batch = find(here, tenant, batch_id)
        if batch.finished_at is None:
            why = f"a batch that is {batch.status} can't be rescored: wait until it has ended"
            raise HttpProblem(409, "wrong_state", why)
        if asked.get("expected_revision") not in (None, batch.revision):
            return _repeated(here, batch, asked)
        point = _point(batch, asked)
        if point == OperatingPoint(batch.threshold, batch.review_low, batch.review_high):
            return _unchanged(here, batch, dry_run=asked.get("dry_run", False))
        if asked.get("dry_run"):
            with here.database.read() as connection:
                counted = rescoring.count(connection, batch, point)
            row = _previewed(batch, point, counted, actor)
            return _answer(row, counted.flips, dry_run=True)
        try:
            return _applied(here, batch, point, actor)
        except Overtaken:
            continue
    raise HttpProblem(409, "wrong_state", "others change this batch at the same time: ask again")


def history(here: Service, tenant: str, batch_id: str) -> list[RescoringPayload]:
    """The rescorings of a batch, the newest first. Raises 404."""
    find(here, tenant, batch_id)
    with here.database.read() as connection:
        return [rescoring_payload(row) for row in rescoring.history(connection, batch_id)]


def _applied(here: Service, batch: BatchRecord, point: OperatingPoint, actor: Actor) -> RescoreAnswer:
    with here.database.write() as connection:
        rescored, found = rescoring.rescore(connection, batch, point, actor.key_id)
        row = rescoring.history(connection, batch.id)[0]
        deliveries = _owe(here, connection, rescored, row.at)
        audit.append(
            connection, actor, "batch.rescore", tenant=batch.tenant, object_id=batch.id, revision=row.revision,
            threshold=point.threshold, review_band=[point.review_low, point.review_high],
        )  # fmt: skip
    for delivery_id in deliveries:
        here.send_delivery(delivery_id)
    here.waiting.wake(batch.id)
    return _answer(rescoring_payload(row), found.flips, dry_run=False)


def _owe(here: Service, connection: Connection, batch: BatchRecord, at: float) -> tuple[str, ...]:
    data = here.batch_payload(batch, here.settings.public_base, at)
    event = owed.Event(RESCORED, data, at, str(batch.revision), receivers.content_of(batch))
    return owed.owe_event(connection, event, tenant=batch.tenant, batch=batch)


def _point(batch: BatchRecord, asked: RescoreRequest) -> OperatingPoint:
    threshold, band = asked.get("threshold"), asked.get("review_band")
    low, high = (batch.review_low, batch.review_high) if band is None else band
    try:
        return OperatingPoint(batch.threshold if threshold is None else threshold, low, high)
    except InvalidOperatingPoint as error:
        error.pointer = "/threshold" if band is None else "/review_band"
        raise


def _repeated(here: Service, batch: BatchRecord, asked: RescoreRequest) -> RescoreAnswer:
    """The answer to a request whose own answer was lost: the newest rescoring is the one that it asked for.

    Else raises 409 `overtaken`, which says who rescored the batch last, when, and to which point.
    """
    with here.database.read() as connection:
        rows = rescoring.history(connection, batch.id)
        names = {key.id: key.name for key in keys.list_keys(connection, batch.tenant)}
    why = f"the batch is at revision {batch.revision}, not {asked['expected_revision']}"
    if rows:
        last, point = rows[0], (rows[0].threshold, rows[0].review_low, rows[0].review_high)
        band = asked.get("review_band") or (last.old_low, last.old_high)
        wanted = (asked.get("threshold", last.old_threshold), *band)
        if last.revision - 1 == asked["expected_revision"] and wanted == point and not asked.get("dry_run"):
            return _answer(rescoring_payload(last), (), dry_run=False)
        who = f"the key “{names[last.key_id]}”" if last.key_id in names else "a key that is revoked"
        why += f": {who} rescored it on {rfc3339(last.at)} to threshold {point[0]:g}, "
        why += f"review {point[1]:g} to {point[2]:g}"
    raise HttpProblem(409, "overtaken", why)


def _unchanged(here: Service, batch: BatchRecord, *, dry_run: bool) -> RescoreAnswer:
    """The answer to a repeated call: the newest rescoring, or that of a batch as it was judged at first."""
    with here.database.read() as connection:
        rows = rescoring.history(connection, batch.id)
    if rows and not dry_run:
        return _answer(rescoring_payload(rows[0]), (), dry_run=False)
    point = OperatingPoint(batch.threshold, batch.review_low, batch.review_high)
    row = _previewed(batch, point, rescoring.Changes([], []), Actor())
    return _answer({**row, "revision": batch.revision}, (), dry_run=dry_run)


def _previewed(
    batch: BatchRecord, point: OperatingPoint, counted: rescoring.Changes, actor: Actor
) -> RescoringPayload:
    return {
        "object": "rescoring",
        "batch_id": batch.id,
        "revision": batch.revision + 1,
        "operating_point": point.payload(),
        "previous_operating_point": {
            "threshold": batch.threshold,
            "review_band": [batch.review_low, batch.review_high],
        },
        "items": changes(counted.items),
        "parts": changes(counted.parts),
        "key_id": actor.key_id,
        "created_at": rfc3339(None),
    }


def _answer(row: RescoringPayload, flips: Sequence[Flip], *, dry_run: bool) -> RescoreAnswer:
    shown = [{"part_id": each.part_id, "before": each.before, "after": each.after} for each in flips]
    return {**row, "dry_run": dry_run, "flipped_parts": shown}  # type: ignore[typeddict-item]
