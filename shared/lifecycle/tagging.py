"""The tags of items (shared.contract.manifests): written with an item, or later in its upload."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, null, select, update

from shared.contract.manifests import Tags
from shared.contract.states import BatchStatus
from shared.store.engine import clock
from shared.store.tables import Batch, Item


class Stored(NamedTuple):
    """An item that has its row. The items of an image file that was split into its frames share their place."""

    seq: int
    filename: str
    place: tuple[int, int]
    frame: int | None

    @property
    def file(self) -> tuple[str, tuple[int, int] | int]:
        """A key that the items of one file have in common."""
        return self.filename, self.seq if self.frame is None else self.place


_ROWS_AT_ONCE = 5000
_NAMES = (
    select(Item.seq, Item.filename, Item.pack, Item.offset, Item.frame)
    .where(Item.batch_id == bindparam("in_batch"), Item.seq > bindparam("after"))
    .order_by(Item.seq)
    .limit(_ROWS_AT_ONCE)
)
_TAG = (
    update(Item)
    .where(Item.batch_id == bindparam("in_batch"), Item.seq == bindparam("at_seq"))
    .values(
        custom_id=bindparam("new_custom_id"),
        part_id=bindparam("new_part_id"),
        view=bindparam("new_view"),
        metadata_=bindparam("new_metadata"),
    )
)


def columns(tags: Tags | None) -> dict[str, object]:
    """The tags as columns of an item's row."""
    return (tags or Tags())._asdict()


def stored(connection: Connection, batch_id: str) -> Iterator[Stored]:
    """The items of an upload so far, in the order in which they came."""
    last = -1
    while rows := connection.execute(_NAMES, {"in_batch": batch_id, "after": last}).all():
        yield from (Stored(row.seq, row.filename, (row.pack, row.offset), row.frame) for row in rows)
        last = rows[-1].seq


_CLEAR = (
    update(Item)
    .where(Item.batch_id == bindparam("in_batch"))
    .values(custom_id=None, part_id=None, view=None, metadata_=null())
)
_TOUCH_DRAFT = (
    update(Batch)
    .where(Batch.id == bindparam("in_batch"), Batch.status == BatchStatus.DRAFT)
    .values(upload_lease_until=clock() + bindparam("lease_s"), version=Batch.version + 1)
)


def retag(
    connection: Connection, batch_id: str, tags: Iterable[Mapping[int, Tags]], lease_s: float
) -> int | None:
    """Write the tags of a draft's items in place of those they have, and return how many items have tags now.

    None, without a change, for other batches.
    """
    tagged = 0
    connection.execute(_CLEAR, {"in_batch": batch_id})
    for some in tags:
        tag(connection, batch_id, some)
        tagged += len(some)
    if connection.execute(_TOUCH_DRAFT, {"in_batch": batch_id, "lease_s": lease_s}).rowcount != 1:
        connection.rollback()
        return None
    return tagged


def tag(connection: Connection, batch_id: str, tags: Mapping[int, Tags]) -> None:
    """Write the tags of items that have their rows. The caller locks the batch's row after this, as everywhere."""
    rows = [
        {
            "in_batch": batch_id,
            "at_seq": seq,
            **{f"new_{name}": value for name, value in each._asdict().items()},
        }
        for seq, each in sorted(tags.items())
    ]
    if rows:
        connection.execute(_TAG, rows)
