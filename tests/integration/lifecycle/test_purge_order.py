"""A purge takes its locks in the order of all others, so none of two transactions is undone by a deadlock."""

import threading

from sqlalchemy import update

from shared.lifecycle import purging
from shared.store.engine import Database
from shared.store.tables import Batch, Part
from tests.integration.lifecycle.test_rescoring import ended_batch


def test_a_part_whose_review_changes_it_is_purged_without_a_deadlock(
    database: Database, model_id: str
) -> None:
    batch = ended_batch(database, model_id, 3)
    purged: list[bool | BaseException] = []

    def purge() -> None:
        try:
            with database.write() as connection:
                purged.append(purging.purge_rows(connection, batch.id))
        except BaseException as error:
            purged.append(error)

    with database.write() as connection:
        # A review, and a verdict, lock the batch first and its parts then.
        connection.execute(update(Batch).where(Batch.id == batch.id).values(version=Batch.version + 1))
        purging_now = threading.Thread(target=purge)
        purging_now.start()
        purging_now.join(2.0)
        connection.execute(update(Part).where(Part.batch_id == batch.id).values(reasons=None))
    purging_now.join(30.0)
    assert purged == [True]
