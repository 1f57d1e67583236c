"""Lists of reviews: entries of the queue, the items that were reviewed last, and how many wait."""

from typing import Any, cast

from sqlalchemy import and_, or_, select

from shared.contract.items import ItemPayload, item_payload
from shared.contract.pages import ListPayload, page
from shared.contract.queries import ReviewListQuery
from shared.contract.reviews import DONE, entry_payload
from shared.lifecycle import judges, review_queue, reviews
from shared.store.engine import database_time
from shared.store.records import ItemRecord
from shared.store.review_records import EntryRecord
from shared.store.tables import Item, ReviewEntry
from web.http.cursors import Cursors
from web.service import Service

_ENTRY = ReviewEntry.__table__


def waiting(here: Service, tenant: str) -> dict[str, int]:
    """How many free entries wait, by source, as far as the queue is made."""
    with here.database.read() as connection:
        return review_queue.waiting(connection, tenant)


def newest(here: Service, tenant: str, most: int = 10) -> list[ItemPayload]:
    """The items that were reviewed last."""
    rows = (
        select(Item.__table__)
        .join(ReviewEntry, and_(ReviewEntry.batch_id == Item.batch_id, ReviewEntry.seq == Item.seq))
        .where(ReviewEntry.tenant == tenant, ReviewEntry.status == DONE)
        .order_by(ReviewEntry.reviewed_at.desc())
        .limit(most)
    )
    with here.database.read() as connection:
        found = [ItemRecord._make(row) for row in connection.execute(rows)]
        reviewed = reviews.of(connection, [(row.batch_id, row.seq) for row in found])
        known = judges.of(connection, found)
    return [item_payload(row, known, reviewed.get((row.batch_id, row.seq))) for row in found]


def page_of(here: Service, tenant: str, query: ReviewListQuery) -> ListPayload:
    """A page of the queue: waiting entries in the order of the line, or reviewed ones, the newest first."""
    is_done = query["status"] == DONE
    cursors = Cursors("reviews", tenant, query=query)
    by = ReviewEntry.reviewed_at if is_done else ReviewEntry.place
    order: tuple[Any, ...] = (by, ReviewEntry.batch_id, ReviewEntry.seq)
    rows = select(_ENTRY).where(ReviewEntry.tenant == tenant, ReviewEntry.status == query["status"])
    if "source" in query:
        rows = rows.where(ReviewEntry.source.in_(query["source"]))
    if "batch_id" in query:
        rows = rows.where(ReviewEntry.batch_id == query["batch_id"])
    if "line" in query:
        rows = rows.where(ReviewEntry.line == query["line"])
    if (cursor := cursors.decode(float, str, int)) is not None:
        at, batch_id, seq = cursor
        after = (
            (by < at, ReviewEntry.batch_id < batch_id, ReviewEntry.seq < seq)
            if is_done
            else (by > at, ReviewEntry.batch_id > batch_id, ReviewEntry.seq > seq)
        )
        same = (by == at, ReviewEntry.batch_id == batch_id)
        rows = rows.where(or_(after[0], and_(same[0], or_(after[1], and_(same[1], after[2])))))
    rows = rows.order_by(*(each.desc() if is_done else each for each in order)).limit(query["limit"] + 1)
    with here.database.read() as connection:
        now = database_time(connection)
        found = [EntryRecord._make(row) for row in connection.execute(rows)]
    following = None
    if len(found) > query["limit"]:
        last = found[query["limit"] - 1]
        at = cast(float, last.reviewed_at if is_done else last.place)
        following = cursors.encode(at, last.batch_id, last.seq)
    return page([entry_payload(row, now) for row in found[: query["limit"]]], following)
