"""Items of a batch: find one, list a page. The API and the pages share these functions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, or_, select

from shared.contract.items import ItemPayload, item_payload
from shared.contract.pages import ListPayload, page
from shared.contract.queries import ItemListQuery, ResultsQuery
from shared.ids import item_id as spelled
from shared.ids import split_item_id
from shared.lifecycle import judged, judges, reviews, score_order
from shared.lifecycle.judges import Judges
from shared.lifecycle.reviews import Reviews
from shared.store.engine import database_time
from shared.store.records import BatchRecord, ItemRecord
from shared.store.tables import Batch, Item
from web.http.cursors import SETTLED_S, Cursors
from web.http.problems import not_found
from web.resources import batches
from web.resources.metadata import noted
from web.service import Service

_ONE = select(*judged.columns()).join(Batch, Batch.id == Item.batch_id)
_UNDECIDED = -1.0
_FOR_EVER = float(2**39)
NEIGHBOURS = 20_000  # places on each side among which a neighbour with a verdict is looked for


class Neighbour(NamedTuple):
    """An item before or after another one. It `matches` unless none of the nearest has the verdict asked for: the
    search can go on from it."""

    id: str
    matches: bool


def shown(here: Service, tenant: str, item_id: str) -> ItemPayload:
    """An item of the tenant as the contract shows it; raises 404."""
    row = find(here, tenant, item_id)
    with here.database.read() as connection:
        review = reviews.of(connection, [(row.batch_id, row.seq)]).get((row.batch_id, row.seq))
        return item_payload(row, judges.of(connection, [row]), review)


def find(here: Service, tenant: str, item_id: str) -> ItemRecord:
    """An item of the tenant; raises 404."""
    place = split_item_id(item_id)
    if place is None:
        raise not_found(f"item {item_id}")
    batches.version(here, tenant, place[0])
    with here.database.read() as connection:
        row = connection.execute(_ONE.where(Item.batch_id == place[0], Item.seq == place[1])).first()
    if row is None:
        raise not_found(f"item {item_id}")
    return ItemRecord._make(row)


def neighbours(
    here: Service, item_id: str, verdicts: Sequence[str]
) -> tuple[Neighbour | None, Neighbour | None]:
    """The items before and after one in its batch; with `verdicts`, the nearest that have one of them."""
    batch_id, seq = split_item_id(item_id) or ("", 0)
    near = select(Item.seq).where(Item.batch_id == batch_id).limit(1)
    before = near.where(Item.seq < seq).order_by(Item.seq.desc())
    after = near.where(Item.seq > seq).order_by(Item.seq)
    with here.database.read() as connection:
        if not verdicts:
            return _near(batch_id, connection.scalar(before)), _near(batch_id, connection.scalar(after))
        sides = (
            (before, Item.seq >= seq - NEIGHBOURS, Item.seq < seq - NEIGHBOURS),
            (after, Item.seq <= seq + NEIGHBOURS, Item.seq > seq + NEIGHBOURS),
        )
        found = []
        for side, is_near, is_far in sides:
            nearest = connection.scalar(
                side.join(Batch, Batch.id == Item.batch_id).where(judged.NOW.in_(verdicts), is_near)
            )
            if nearest is None:
                found.append(_near(batch_id, connection.scalar(side.where(is_far)), matches=False))
            else:
                found.append(_near(batch_id, nearest))
        return found[0], found[1]


def _near(batch_id: str, seq: int | None, *, matches: bool = True) -> Neighbour | None:
    return None if seq is None else Neighbour(spelled(batch_id, seq), matches)


def page_of(here: Service, batch: BatchRecord, query: ItemListQuery) -> ListPayload:
    """A page of the batch's items by place, or by score."""
    rows = select(*judged.columns(batch)).where(Item.batch_id == batch.id, *_filters(here, batch, query))
    cursors = Cursors("items", batch.id, query=query)
    if query["sort"] == "seq":
        return _by_place(here, rows, cursors, query["limit"])
    return _by_score(here, batch, rows, cursors, query)


def of_state(batch: BatchRecord, query: ItemListQuery | ResultsQuery) -> list[ColumnElement[bool]]:
    """The conditions of the filters `status` and `verdict`."""
    filters: list[ColumnElement[bool]] = []
    if "status" in query:
        filters.append(Item.status.in_(query["status"]))
    if "verdict" in query:
        filters.append(judged.verdict_in(batch).in_(query["verdict"]))
    return filters


def _filters(here: Service, batch: BatchRecord, query: ItemListQuery) -> list[ColumnElement[bool]]:
    filters = of_state(batch, query)
    if "min_score" in query:
        filters.append(Item.score >= query["min_score"])
    if "max_score" in query:
        filters.append(Item.score <= query["max_score"])
    tags = {name: value for name, value in query.items() if name in ("custom_id", "part_id", "view")}
    filters += [getattr(Item, name) == value for name, value in tags.items()]
    filters += noted(Item.metadata_, query.get("metadata", {}), is_sqlite=here.database.is_sqlite)
    if "q" in query:
        filters.append(Item.filename.icontains(query["q"], autoescape=True))
    return filters


def _by_place(here: Service, rows: Select[Any], cursors: Cursors, limit: int) -> ListPayload:
    if (cursor := cursors.decode(int)) is not None:
        rows = rows.where(Item.seq > cursor[0])
    found, known, reviewed = fetch(here, rows.order_by(Item.seq), limit)
    following = cursors.encode(found[limit - 1].seq) if len(found) > limit else None
    return page(payloads(found[:limit], known, reviewed), following)


def _by_score(
    here: Service, batch: BatchRecord, rows: Select[Any], cursors: Cursors, query: ItemListQuery
) -> ListPayload:
    """Items in the order of their scores at the time of the first page, which each cursor carries.

    A verdict that comes later must not move an item past the reader: such an item keeps the place that an undecided
    item has.
    """
    limit, falling = query["limit"], query["sort"] == "-score"
    cursor = cursors.decode(float, int, float, int)
    if cursor is not None:
        as_of, ended_run, last_score, last_seq = cursor
    else:
        as_of, ended_run = _settled(here, batch), 0 if batch.finished_at is None else batch.run
    # No verdict comes after the batch has ended, unless a retry begins another run.
    until = _FOR_EVER if batch.run == ended_run else as_of
    decided, at_once = Item.finished_at <= until, rows
    score: Any = case((and_(decided, Item.score.is_not(None)), Item.score), else_=_UNDECIDED)
    if cursor is not None:
        beyond = score < last_score if falling else score > last_score
        rows = rows.where(or_(beyond, and_(score == last_score, Item.seq > last_seq)))
    places = _in_order(here, batch, query, cursor, ended_run)
    if places is None:
        rows = rows.order_by(score.desc() if falling else score, Item.seq)
        found, known, reviewed = fetch(here, rows, limit)
    elif not places:
        return page([], None)
    else:
        rows = at_once.where(Item.seq.in_([each.seq for each in places]))
        found, known, reviewed = fetch(here, rows, limit)
        at = {each.seq: number for number, each in enumerate(places)}
        found.sort(key=lambda item: at[item.seq])
    following = None
    if len(found) > limit:
        last = found[limit - 1]
        is_decided = last.score is not None and last.finished_at is not None and last.finished_at <= until
        following = cursors.encode(as_of, ended_run, last.score if is_decided else _UNDECIDED, last.seq)
    return page(payloads(found[:limit], known, reviewed), following)


def _in_order(
    here: Service, batch: BatchRecord, query: ItemListQuery, cursor: list[Any] | None, ended_run: int
) -> list[score_order.Place] | None:
    """The places of a page's items and of one more, where the batch is kept in the order of its scores and the filters
    are those that it knows; else None."""
    other = {*query} - {"status", "verdict", "sort", "limit", "cursor"}
    if batch.total <= score_order.LARGE or query["sort"] != "-score" or batch.run != ended_run:
        return None
    if any(query[name] for name in other):  # type: ignore[literal-required]
        return None
    after = None if cursor is None else score_order.Place(-cursor[2], cursor[3])
    wanted = score_order.ranges(batch, query.get("status", []), query.get("verdict", []))
    with here.database.read() as connection:
        if not score_order.is_made(connection, batch):
            return None
        return score_order.places(connection, batch, wanted, after, query["limit"] + 1)


def _settled(here: Service, batch: BatchRecord) -> float:
    """The time up to which the batch's verdicts are settled, by the database's clock."""
    with here.database.read() as connection:
        return database_time(connection) - (SETTLED_S if batch.finished_at is None else 0.0)


def fetch(here: Service, rows: Select[Any], limit: int) -> tuple[list[ItemRecord], Judges, Reviews]:
    """A page's rows, and one more where there are more; their judges and reviews."""
    with here.database.read() as connection:
        found = [ItemRecord._make(row) for row in connection.execute(rows.limit(limit + 1))]
        reviewed = reviews.of(connection, [(row.batch_id, row.seq) for row in found])
        return found, judges.of(connection, found), reviewed


def payloads(rows: Sequence[ItemRecord], known: Judges, reviewed: Reviews) -> list[ItemPayload]:
    """Items as the contract shows them."""
    return [item_payload(row, known, reviewed.get((row.batch_id, row.seq))) for row in rows]
