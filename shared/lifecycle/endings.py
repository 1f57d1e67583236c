"""A batch ends: by compare-and-set, with the deliveries that it owes, in a transaction of its own.

The loser of a race changes nothing, and learns so from the answer. Transactions of this package lock in the order
chunk, items, batch, parts: PostgreSQL then finds no deadlock between them.
Statements are built once, at import: building a statement costs more than running it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, null, update

from shared.contract.states import BatchStatus, Outcome
from shared.lifecycle import events, score_order
from shared.store.engine import Database, clock
from shared.store.records import BatchRecord
from shared.store.tables import Batch
from shared.webhooks import owed


@dataclass(frozen=True)
class Tell:
    """The functions that tell others after the commit. Both may lose a call: the sweep then finds the delivery, and a
    waiting request reads the database again after some seconds.

    `base` is GONOGO_PUBLIC_URL, with which the links of a webhook message begin.
    """

    delivery_owed: Callable[[str], object]
    batch_changed: Callable[[str], object]
    base: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """A batch that ended just now, and the ids of the deliveries that it owes."""

    deliveries: tuple[str, ...]


_COMPLETE = (
    update(Batch)
    .where(
        Batch.id == bindparam("in_batch"),
        Batch.sealed.is_(True),
        Batch.finished_at.is_(None),
        Batch.queued + Batch.processing == 0,
    )
    .values(
        status=case(
            (Batch.status == BatchStatus.CANCELLING, BatchStatus.CANCELLED),
            (Batch.expired > 0, BatchStatus.EXPIRED),
            (Batch.started_at.is_(None), BatchStatus.FAILED),
            else_=BatchStatus.COMPLETED,
        ),
        outcome=case(
            (Batch.succeeded == Batch.total, Outcome.ALL_SUCCEEDED),
            (Batch.succeeded == 0, Outcome.ALL_FAILED),
            else_=Outcome.PARTIAL,
        ),
        finished_at=clock(),
        blocked=null(),
        retain_until=clock() + Batch.retention_s,
        version=Batch.version + 1,
    )
    .returning(Batch.__table__)
)


def end(database: Database, tell: Tell, batch_ids: Iterable[str]) -> list[str]:
    """End those of the batches that have no open item left, then tell; returns the ids of those that ended here.

    Safe to repeat: a batch that has ended is not ended again. Web, workers, sweep and doctor all end batches here.
    """
    ordered = sorted(batch_ids)  # so that no two transactions wait for each other
    with database.write() as connection:
        completed = {batch_id: complete(connection, batch_id, tell.base) for batch_id in ordered}
    for ended in completed.values():
        for delivery_id in ended.deliveries if ended else ():
            tell.delivery_owed(delivery_id)
    for batch_id in ordered:
        tell.batch_changed(batch_id)
    return [batch_id for batch_id, ended in completed.items() if ended]


def complete(connection: Connection, batch_id: str, base: str = "") -> Completed | None:
    """End a batch that has no open item: write its event and owe its webhook. None where it is open, or has ended.

    It must not share the transaction that recorded the last chunk: the last two workers would each see the other's
    items open, and neither would complete.
    """
    row = connection.execute(_COMPLETE, {"in_batch": batch_id}).first()
    if row is None:
        return None
    events.note_end(connection, batch_id)
    if row.total > score_order.LARGE:
        score_order.ask(connection, batch_id)
    return Completed(owed.owe_end(connection, BatchRecord._make(row), base))
