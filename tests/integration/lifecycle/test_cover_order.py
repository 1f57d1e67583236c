"""A repair of items without a chunk takes its locks in the order of all others, whatever it meets."""

import threading
from typing import Any

import pytest
from sqlalchemy import event, select, update

from shared.contract.states import ChunkStatus, ItemStatus
from shared.lifecycle import closing, cover
from shared.store.engine import Database
from shared.store.tables import Batch, Chunk, Item
from tests.harness.rows import batch_row, make_batch


def lost_chunk(database: Database, model_id: str) -> str:
    """A batch of four queued items that no chunk covers."""
    batch_id = make_batch(database, model_id)
    with database.write() as connection:
        connection.execute(update(Chunk).values(status=ChunkStatus.DONE))
    return batch_id


class Repair(threading.Thread):
    """Covers the items of a batch in a transaction of its own."""

    def __init__(self, database: Database, batch_id: str) -> None:
        super().__init__()
        self._database, self._batch_id = database, batch_id
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self._database.write() as connection:
                cover.cover(connection, self._batch_id)
        except BaseException as error:
            self.error = error


def queued_chunks(database: Database) -> list[tuple[int, int]]:
    query = select(Chunk.first_seq, Chunk.last_seq).where(Chunk.status == ChunkStatus.QUEUED)
    with database.read() as connection:
        return [(first, last) for first, last in connection.execute(query)]


def test_a_cancel_and_a_repair_of_one_batch_meet_without_a_deadlock(
    database: Database, model_id: str
) -> None:
    batch_id = lost_chunk(database, model_id)
    repair = Repair(database, batch_id)

    def meet(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """A cancel closes the items, and then locks the batch. The repair comes in between."""
        if statement.startswith("UPDATE items") and repair.ident is None:
            repair.start()
            repair.join(1.0)

    event.listen(database.engine, "after_cursor_execute", meet)
    try:
        with database.write() as connection:
            assert closing.cancel(connection, batch_id)
    finally:
        event.remove(database.engine, "after_cursor_execute", meet)
    repair.join(30.0)
    assert repair.error is None
    assert queued_chunks(database) == []
    row = batch_row(database, batch_id)
    assert (row.status, row.queued, row.cancelled) == ("cancelling", 0, 4)


def test_two_repairs_at_once_give_each_item_one_chunk(database: Database, model_id: str) -> None:
    batch_id = lost_chunk(database, model_id)
    second = Repair(database, batch_id)
    with database.write() as connection:
        cover.cover(connection, batch_id)
        second.start()
        second.join(1.0)
    second.join(30.0)
    assert second.error is None
    assert queued_chunks(database) == [(0, 3)]


@pytest.mark.parametrize("first", ["repair", "cancel"])
def test_the_one_that_comes_second_sees_what_the_first_did(
    first: str, database: Database, model_id: str
) -> None:
    batch_id = lost_chunk(database, model_id)

    def cancel() -> None:
        with database.write() as connection:
            assert closing.cancel(connection, batch_id)

    steps = [Repair(database, batch_id).run, cancel]
    for step in steps if first == "repair" else reversed(steps):
        step()
    assert queued_chunks(database) == []
    with database.read() as connection:
        assert {*connection.scalars(select(Item.status))} == {ItemStatus.CANCELLED}
        assert connection.scalar(select(Batch.cancelled)) == 4
