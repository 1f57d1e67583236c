"""The items of parts, read for pages and for the bodies of events."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, and_, bindparam, func, select

from shared.contract.parts import SHOWN_VIEWS, View
from shared.contract.reviews import DONE
from shared.lifecycle import judged
from shared.store.records import PartRecord
from shared.store.tables import Batch, Item, ReviewEntry

_ASKED_AT_ONCE = 500  # a statement takes a bounded number of parameters
Views = dict[tuple[str, str], list[View]]
_OF_ITEM = [name for name in View._fields if name != "review_verdict"]
_SHOWN = [Item.__table__.columns[name] for name in dict.fromkeys([*_OF_ITEM, "score", "reasons"])]
_NUMBERED = (
    select(
        *_SHOWN,
        func.row_number().over(partition_by=(Item.batch_id, Item.part_id), order_by=Item.seq).label("place"),
    )
    .where(
        Item.batch_id.in_(bindparam("in_batches", expanding=True)),
        Item.part_id.in_(bindparam("of_parts", expanding=True)),
    )
    .subquery()
)
# Built once: a statement that is built for each page costs more than its run. It is asked for parts of one batch, or
# for one part of several batches: for pairs of batch and part, SQLite would read the whole table.
_NOW = judged.verdict_now(_NUMBERED.c).label("verdict")
_VIEWS = (
    select(*(_NOW if name == "verdict" else _NUMBERED.c[name] for name in _OF_ITEM), ReviewEntry.verdict)
    .join(Batch, Batch.id == _NUMBERED.c.batch_id)
    .outerjoin(
        ReviewEntry,
        and_(
            ReviewEntry.batch_id == _NUMBERED.c.batch_id,
            ReviewEntry.seq == _NUMBERED.c.seq,
            ReviewEntry.status == DONE,
        ),
    )
    .where(_NUMBERED.c.place <= SHOWN_VIEWS)
    .order_by(_NUMBERED.c.batch_id, _NUMBERED.c.seq)
)


def views_of(connection: Connection, parts: Sequence[PartRecord]) -> Views:
    """The first SHOWN_VIEWS items of each part, by (batch id, part id)."""
    found: defaultdict[tuple[str, str], list[View]] = defaultdict(list)
    for in_batches, of_parts in _asked(parts):
        asked = {"in_batches": in_batches, "of_parts": of_parts}
        for row in map(View._make, connection.execute(_VIEWS, asked)):
            found[row.batch_id, row.part_id].append(row)
    return found


def _asked(parts: Sequence[PartRecord]) -> Iterator[tuple[list[str], list[str]]]:
    """Batches and part ids of each statement: every part of a batch, or every batch of a part, whichever is fewer."""
    by_batch: defaultdict[str, list[str]] = defaultdict(list)
    by_part: defaultdict[str, list[str]] = defaultdict(list)
    for part in parts:
        by_batch[part.batch_id].append(part.part_id)
        by_part[part.part_id].append(part.batch_id)
    if len(by_part) < len(by_batch):
        yield from ((some, [part_id]) for part_id, batches in by_part.items() for some in _blocks(batches))
    else:
        yield from (([batch_id], some) for batch_id, ids in by_batch.items() for some in _blocks(ids))


def _blocks(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + _ASKED_AT_ONCE] for start in range(0, len(ids), _ASKED_AT_ONCE))
