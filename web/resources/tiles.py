"""The items on the page of a batch: the highest scores first where that can be read quickly, else in batch order.

No index of `items` names a score or a verdict (docs/decisions/0021), so each page of a sorted list reads the whole
batch. The sweep puts a large batch in order once it has ended (`shared.lifecycle.score_order`). Until then it is read
in its own order, a bounded number of items at a time.
"""

import contextlib
from typing import NamedTuple, cast

from sqlalchemy import select

from shared.contract.items import ItemPayload
from shared.contract.page_queries import BatchPageQuery
from shared.contract.pages import ListPayload
from shared.contract.queries import ItemListQuery
from shared.lifecycle import judged, score_order
from shared.store.records import BatchRecord
from shared.store.tables import Item
from web.http import validators
from web.http.cursors import Cursors
from web.http.problems import HttpProblem
from web.resources import items
from web.service import Service

LOOKED_AT = score_order.LARGE  # items that a page reads at most
TILES = 48


class Tiles(NamedTuple):
    """Items of a page. `last` is the place up to which a page that is not full has looked, in batch order."""

    data: list[ItemPayload]
    following: str | None
    by_score: bool
    last: int | None = None


def of(here: Service, batch: BatchRecord, query: BatchPageQuery) -> Tiles:
    """A page of the batch's items. Raises 400 for a cursor that is of no such page."""
    asked = cast(ItemListQuery, validators.with_defaults(ItemListQuery, {**query, "limit": TILES}))
    if batch.total <= LOOKED_AT or _is_ordered(here, batch):
        with contextlib.suppress(_OfOtherWalk):
            return _by_score(here, batch, {**asked, "sort": "-score"})
    return _in_order(here, batch, {**asked, "sort": "seq"})


class _OfOtherWalk(Exception):
    """The cursor is of a walk in batch order, which began before the batch was in the order of its scores."""


def _is_ordered(here: Service, batch: BatchRecord) -> bool:
    """Whether the batch is in the order of its scores; if not, and it has ended, the sweep is asked for it."""
    if batch.finished_at is None:
        return False
    with here.database.read() as connection:
        made = score_order.is_made(connection, batch)
    if made is None:
        score_order.ask_once(here.database, batch.id)
    return bool(made)


def _by_score(here: Service, batch: BatchRecord, query: ItemListQuery) -> Tiles:
    try:
        page: ListPayload = items.page_of(here, batch, query)
    except HttpProblem as problem:
        if batch.total > LOOKED_AT and problem.code == "invalid_cursor":
            raise _OfOtherWalk from problem
        raise
    return Tiles(page["data"], page["next_cursor"], by_score=True)


def _in_order(here: Service, batch: BatchRecord, query: ItemListQuery) -> Tiles:
    kinds = [*query.get("status", []), *query.get("verdict", [])]
    if kinds and not any(getattr(batch, kind) for kind in kinds):
        return Tiles([], None, by_score=False)  # the counters know that there is none
    cursors = Cursors("items", batch.id, query=query)
    cursor = cursors.decode(int)
    after = -1 if cursor is None else cursor[0]
    stop, end = after + LOOKED_AT, batch.total - 1
    rows = select(*judged.columns(batch)).where(
        Item.batch_id == batch.id, Item.seq > after, Item.seq <= stop, *items.of_state(batch, query)
    )
    found, known, reviewed = items.fetch(here, rows.order_by(Item.seq), TILES)
    shown = items.payloads(found[:TILES], known, reviewed)
    if len(found) > TILES:
        return Tiles(shown, cursors.encode(found[TILES - 1].seq), by_score=False)
    if stop < end:
        return Tiles(shown, cursors.encode(stop), by_score=False, last=stop)
    return Tiles(shown, None, by_score=False)
