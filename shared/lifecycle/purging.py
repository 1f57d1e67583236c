"""A batch is purged: its rows in one transaction, then its bytes. The sweep removes bytes that a death leaves.

Receivers lose nothing by it: events that were not told yet are owed first, and deliveries that wait, or are held for
an endpoint, stay until they have ended.
"""

from collections.abc import Callable

from sqlalchemy import Connection, delete, select

from shared.access import quotas
from shared.blobs.store import BlobStore
from shared.contract.states import DeliveryStatus
from shared.lifecycle import counters, diff_counts, idempotency, known_images, score_order, shadows, telling
from shared.store.engine import Database
from shared.store.tables import (
    Attempt,
    Batch,
    BatchEvent,
    Chunk,
    Delivery,
    DraftPart,
    Fetch,
    Item,
    Opinion,
    Part,
    Rescoring,
    ReviewEntry,
    ScoreBins,
    Telling,
)

_ENDED = (DeliveryStatus.DELIVERED, DeliveryStatus.EXHAUSTED)


def purge(
    database: Database,
    blobs: BlobStore,
    batch_id: str,
    *,
    base: str = "",
    counter: counters.Name | None = None,
    also: Callable[[Connection], object] | None = None,
) -> bool:
    """Delete an ended batch, or an upload that was given up: rows first, then bytes.

    False, and nothing is deleted, where the batch is sealed and runs. True also where it has no row (any more).
    `base` is the service's URL, with which links of its last events begin. `counter` is counted where this call
    deleted the rows, and `also` is called in the same transaction. Safe to repeat.
    """
    while _tell(database, batch_id, base):
        pass
    with database.write() as connection:
        telling.tell(connection, batch_id, base, waits=True)  # what a retry has judged since
        gone = purge_rows(connection, batch_id)
        if gone and counter is not None:
            counters.count(connection, counter)
        if gone and also is not None:
            also(connection)
    if not gone:
        with database.read() as connection:
            gone = connection.scalar(select(Batch.id).where(Batch.id == batch_id)) is None
    if gone:
        blobs.delete_batch(batch_id)
    return gone


def _tell(database: Database, batch_id: str, base: str) -> bool:
    """Tell some of what is untold, in a transaction of its own: a large batch owes many messages. True: call again."""
    with database.write() as connection:
        return telling.tell(connection, batch_id, base, waits=True).more


def purge_rows(connection: Connection, batch_id: str) -> bool:
    """Delete the rows of a batch that has ended, or whose upload was given up; False where there is none such."""
    connection.execute(delete(Telling).where(Telling.batch_id == batch_id))
    connection.execute(delete(Fetch).where(Fetch.batch_id == batch_id))
    connection.execute(delete(Chunk).where(Chunk.batch_id == batch_id))
    known_images.forget(connection, batch_id)
    connection.execute(delete(DraftPart).where(DraftPart.batch_id == batch_id))
    connection.execute(delete(Item).where(Item.batch_id == batch_id))
    # Locked after its items and before its parts, as everywhere: a review locks the batch, and then changes parts.
    connection.execute(select(Batch.id).where(Batch.id == batch_id).with_for_update())
    connection.execute(delete(Part).where(Part.batch_id == batch_id))
    connection.execute(delete(BatchEvent).where(BatchEvent.batch_id == batch_id))
    idempotency.outlive(connection, batch_id)
    # The batch answers whether it may go: if not, all of it comes back.
    gone = connection.execute(
        delete(Batch)
        .where(Batch.id == batch_id, (Batch.finished_at.is_not(None)) | (Batch.sealed.is_(False)))
        .returning(Batch.tenant, Batch.bytes, Batch.total, Batch.sealed)
    ).first()
    if gone is None:
        connection.rollback()
        return False
    # Opinions are given under the lock of the batch's row: none comes after those that go here.
    connection.execute(delete(Opinion).where(Opinion.batch_id == batch_id))
    connection.execute(delete(ReviewEntry).where(ReviewEntry.batch_id == batch_id))
    # Last: a rescoring that committed before this one locked the items has left its row, and none comes after.
    connection.execute(delete(Rescoring).where(Rescoring.batch_id == batch_id))
    connection.execute(delete(ScoreBins).where(ScoreBins.batch_id == batch_id))
    diff_counts.forget(connection, batch_id)
    score_order.forget(connection, batch_id)
    shadows.forget(connection, batch_id)
    # A try that ends its delivery locks the batch: from here on, it finds none and deletes its delivery by itself.
    ended = (Delivery.batch_id == batch_id, Delivery.status.in_(_ENDED))
    connection.execute(delete(Attempt).where(Attempt.delivery_id.in_(select(Delivery.id).where(*ended))))
    connection.execute(delete(Delivery).where(*ended))
    if gone.sealed:
        quotas.take_off(connection, gone.tenant, gone.bytes, gone.total)
    return True
