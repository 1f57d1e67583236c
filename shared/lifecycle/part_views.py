"""The items of parts, read for pages and for the bodies of events."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select

from shared.contract.parts import SHOWN_VIEWS
from shared.store.records import ItemRecord, PartRecord
from shared.store.tables import Item

_ASKED_AT_ONCE = 500  # a statement takes a bounded number of parameters
Views = dict[tuple[str, str], list[ItemRecord]]
_NUMBERED = (
    select(
        Item.__table__,
        func.row_number().over(partition_by=Item.part_id, order_by=Item.seq).label("place"),
    )
    .where(Item.batch_id == bindparam("in_batch"), Item.part_id.in_(bindparam("of_parts", expanding=True)))
    .subquery()
)
# Built once, and asked for each batch: for pairs of batch and part, SQLite would read the whole table, and a statement
# that is built for each page costs more than its run.
_VIEWS = (
    select(*(_NUMBERED.c[column.key] for column in Item.__table__.columns))
    .where(_NUMBERED.c.place <= SHOWN_VIEWS)
    .order_by(_NUMBERED.c.seq)
)


def views_of(connection: Connection, parts: Sequence[PartRecord]) -> Views:
    """The first SHOWN_VIEWS items of each part, by (batch id, part id)."""
    found: defaultdict[tuple[str, str], list[ItemRecord]] = defaultdict(list)
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for part in parts:
        wanted[part.batch_id].append(part.part_id)
    for batch_id, part_ids in wanted.items():
        for start in range(0, len(part_ids), _ASKED_AT_ONCE):
            some = {"in_batch": batch_id, "of_parts": part_ids[start : start + _ASKED_AT_ONCE]}
            for row in map(ItemRecord._make, connection.execute(_VIEWS, some)):
                found[batch_id, str(row.part_id)].append(row)
    return found
