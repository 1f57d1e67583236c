"""Reviews of a tenant: the next item of the queue, opinions, and lists. The API and the pages share these functions."""

import time

from sqlalchemy import Connection

from shared.access import audit
from shared.clock import rfc3339
from shared.contract.audit import Action
from shared.contract.events import ITEM_REVIEWED
from shared.contract.items import ItemPayload, item_payload
from shared.contract.review_tasks import ReviewTaskPayload
from shared.ids import item_id as spelled
from shared.ids import new_id, split_item_id
from shared.lifecycle import judges, review_queue, reviews
from shared.lifecycle.review_queue import Wanted
from shared.lifecycle.reviews import HELD_BY_ANOTHER, Change, Reviewer
from shared.lifecycle.shares import Shares
from shared.store.engine import database_time
from shared.store.review_records import EntryRecord
from shared.store.tables import ReviewEntry
from shared.webhooks import owed
from shared.webhooks.owed import Event
from shared.webhooks.receivers import Content
from web.http.callers import Caller, holder_of
from web.http.problems import HttpProblem, not_found
from web.resources import items
from web.service import Service

_FILL_S = 0.5  # for which one request makes the queue longer at most
_ENTRY = ReviewEntry.__table__


def shares(here: Service) -> Shares:
    """The shares of the audit, by the settings."""
    known = here.settings
    return Shares(known.review_passed_share, known.review_refused_share, known.review_second_share)


def take_next(here: Service, who: Caller, wanted: Wanted) -> EntryRecord | None:
    """The next entry of the queue, held for this caller; None where there is none (yet).

    A browser gets the entry again that it has. Makes the queue longer where no entry is free.
    """
    holder, lease_s = _holder(who, who.session or new_id("clm")), here.settings.review_lease_s
    until = time.monotonic() + _FILL_S
    if who.session is not None:
        with here.database.write() as connection:
            found = review_queue.held(connection, who.tenant, holder, lease_s)
        if found is not None:
            return found
    while True:
        with here.database.write() as connection:
            found = review_queue.claim(
                connection, who.tenant, wanted, key_id=who.key_id, holder=holder, lease_s=lease_s
            )
            if found is not None:
                _note(connection, who, "review.claim", spelled(found.batch_id, found.seq))
        if found is not None or not _make_longer(here, who.tenant, wanted, until):
            return found


def _make_longer(here: Service, tenant: str, wanted: Wanted, until: float) -> bool:
    """Look at items that the queue has not been made of; False where nothing is left, or the time is over."""
    with here.database.read() as connection:
        unmade = review_queue.unmade(connection, tenant, wanted)
    for number, batch in enumerate(unmade):
        if number and time.monotonic() > until:
            return False
        with here.database.read() as connection:
            stop = review_queue.reach(connection, batch)
        if stop == batch.at and not batch.has_ended:
            continue
        with here.database.write() as connection:
            review_queue.fill(connection, batch, stop, shares(here))
        return True
    return False


def held(here: Service, who: Caller, item_id: str) -> EntryRecord | None:
    """The entry of an item where this caller's browser has it; its lease begins again. Raises 404."""
    place = _place(item_id)
    with here.database.write() as connection:
        return review_queue.held(
            connection, who.tenant, _holder(who, who.session), here.settings.review_lease_s, place
        )


def item_of(entry: EntryRecord) -> str:
    """The id of an entry's item."""
    return spelled(entry.batch_id, entry.seq)


def task(here: Service, who: Caller, entry: EntryRecord) -> ReviewTaskPayload:
    """An entry that this caller holds, with its item."""
    return {
        "object": "review_task",
        "claim": (entry.holder or "").partition(":")[2],
        "claimed_until": rfc3339(entry.lease_until),
        "source": entry.source,
        "round": entry.given + 1,
        "item": items.shown(here, who.tenant, spelled(entry.batch_id, entry.seq)),
    }


def give(
    here: Service, who: Caller, item_id: str, verdict: str, note: str | None, claim: str | None = None
) -> ItemPayload:
    """Note the caller's verdict on an item; returns the item after that. Raises 404, or 409."""
    place = _place(item_id)
    reviewer = Reviewer(who.key_id, who.name, _holder(who, claim), by_claim=claim is not None)
    with here.database.write() as connection:
        change = reviews.give(connection, who.tenant, place, reviewer, verdict, note or None, shares(here))
        if change is None:
            raise not_found(f"item {item_id}")
        shown, deliveries = _tell(connection, change)
        if change.changed:
            _note(connection, who, "review.give", item_id, verdict=verdict, note=note or None)
    _send(here, change, deliveries)
    return shown


def take_back(here: Service, who: Caller, item_id: str) -> ItemPayload:
    """Take back the caller's opinion on an item; returns the item after that. Raises 404, or 409."""
    place, lease_s = _place(item_id), here.settings.review_lease_s
    reviewer = Reviewer(who.key_id, who.name, None if who.session is None else _holder(who, None))
    with here.database.write() as connection:
        change = reviews.take_back(connection, who.tenant, place, reviewer, lease_s)
        if change is None:
            raise not_found(f"item {item_id}")
        shown, deliveries = _tell(connection, change)
        if change.changed:
            if who.session is not None:
                review_queue.let_go(connection, _holder(who, None), place)
            _note(connection, who, "review.take_back", item_id)
    _send(here, change, deliveries)
    return shown


def put_back(here: Service, who: Caller, item_id: str, claim: str | None = None) -> None:
    """Give an item back to the queue, behind the others. Raises 404, or 409."""
    items.find(here, who.tenant, item_id)
    batch_id, seq = _place(item_id)
    # Items that are not queued yet come before the one that is skipped.
    _make_longer(here, who.tenant, Wanted(), time.monotonic() + _FILL_S)
    with here.database.write() as connection:
        if not review_queue.put_back(connection, who.tenant, batch_id, seq, _holder(who, claim)):
            if review_queue.is_held(connection, who.tenant, batch_id, seq):
                raise HttpProblem(409, "claimed_by_other", HELD_BY_ANOTHER)
            raise HttpProblem(409, "wrong_state", "the item does not wait in the review queue")
        _note(connection, who, "review.skip", item_id)


def _holder(who: Caller, claim: str | None) -> str:
    """The holder that a claim makes of this caller; without one, that of its browser, if it has one."""
    return holder_of(who.key_id, claim or who.session or "")


def _place(item_id: str) -> tuple[str, int]:
    place = split_item_id(item_id)
    if place is None:
        raise not_found(f"item {item_id}")
    return place


def _note(connection: Connection, who: Caller, action: Action, item_id: str, **detail: object) -> None:
    audit.append(connection, who.actor, action, tenant=who.tenant, object_id=item_id, **detail)


def _tell(connection: Connection, change: Change) -> tuple[ItemPayload, tuple[str, ...]]:
    """The item as it is now, and the deliveries that are owed where its final review has changed."""
    item = change.item
    place = (item.batch_id, item.seq)
    review = reviews.of(connection, [place]).get(place)
    shown = item_payload(item, judges.of(connection, [item]), review)
    if not (change.changed and change.is_told):
        return shown, ()
    noted = {**change.batch.metadata, **(item.metadata or {})}
    said = [review["verdict"]] if review is not None else [item.verdict or ""]
    event = Event(
        ITEM_REVIEWED,
        shown,
        database_time(connection),
        change.subject,
        Content(said, change.batch.line, noted),
    )
    return shown, owed.owe_event(connection, event, tenant=change.batch.tenant, batch=change.batch)


def _send(here: Service, change: Change, deliveries: tuple[str, ...]) -> None:
    for delivery_id in deliveries:
        here.send_delivery(delivery_id)
    if change.changed:
        here.waiting.wake(change.batch.id)
