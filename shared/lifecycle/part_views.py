"""The items of parts, read for pages and for the bodies of events."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, String, and_, column, func, select, values

from shared.contract.parts import SHOWN_VIEWS
from shared.store.records import ItemRecord, PartRecord
from shared.store.tables import Item

_ASKED_AT_ONCE = 500  # a statement takes a bounded number of parameters
Views = dict[tuple[str, str], list[ItemRecord]]


def views_of(connection: Connection, parts: Sequence[PartRecord]) -> Views:
    """The first SHOWN_VIEWS items of each part, by (batch id, part id)."""
    found: defaultdict[tuple[str, str], list[ItemRecord]] = defaultdict(list)
    for start in range(0, len(parts), _ASKED_AT_ONCE):
        some = [(part.batch_id, part.part_id) for part in parts[start : start + _ASKED_AT_ONCE]]
        # Joined rather than `IN`: for a list of pairs, SQLite would read the whole table.
        wanted = (
            values(column("batch", String), column("part", String), name="wanted").data(some).cte("wanted")
        )
        place = func.row_number().over(partition_by=(Item.batch_id, Item.part_id), order_by=Item.seq)
        numbered = (
            select(Item.__table__, place.label("place"))
            .join(wanted, and_(Item.batch_id == wanted.c.batch, Item.part_id == wanted.c.part))
            .where(Item.part_id.is_not(None))
            .subquery()
        )
        columns = [numbered.c[column.key] for column in Item.__table__.columns]
        query = select(*columns).where(numbered.c.place <= SHOWN_VIEWS).order_by(numbered.c.seq)
        for row in map(ItemRecord._make, connection.execute(query)):
            found[row.batch_id, str(row.part_id)].append(row)
    return found
