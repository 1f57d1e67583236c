"""Conditions between a batch, its items and its events that hold whatever has happened to it."""

import json
from collections import Counter

from sqlalchemy import Connection, case, func, literal_column, select

from shared.clock import rfc3339
from shared.contract.events import BATCH_EVENTS, ITEMS_COMPLETED, PAUSED, RETRIED, STARTED
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import UNLIKE, BatchStatus, ChunkStatus, FetchStatus, ItemStatus
from shared.ids import item_id
from shared.lifecycle import judged
from shared.store.records import BatchRecord, ItemRecord
from shared.store.tables import Batch, BatchEvent, Chunk, Delivery, Fetch, Item
from shared.vision.decision import decide, reasons_for


def check_counters(connection: Connection) -> None:
    rows = connection.execute(select(Batch.__table__)).all()
    counted = connection.execute(
        select(Item.batch_id, Item.status, judged.NOW.label("judged"), func.count())
        .join(Batch, Batch.id == Item.batch_id)
        .group_by(Item.batch_id, Item.status, literal_column("judged"))
    ).all()
    unlike = Counter(
        connection.scalars(select(Item.batch_id).where(Item.reasons.contains("unfamiliar"))).all()
    )
    by_status: Counter[tuple[str, str]] = Counter()
    by_verdict: Counter[tuple[str, str]] = Counter()
    for batch_id, status, verdict, count in counted:
        by_status[batch_id, status] += count
        if verdict is not None:
            by_verdict[batch_id, verdict] += count
    for row in rows:
        for status in ItemStatus:
            assert getattr(row, status) == by_status[row.id, status], (row.id, status)
        for verdict in ("defect", "no_defect", "review"):
            assert getattr(row, verdict) == by_verdict[row.id, verdict], (row.id, verdict)
        assert row.unfamiliar == unlike[row.id], (row.id, "unfamiliar")
        assert row.total == sum(getattr(row, status) for status in ItemStatus)


def check_verdicts(connection: Connection, batch_id: str) -> None:
    """Each verdict of a batch that was rescored is the one that its score has at the batch's operating point."""
    row = connection.execute(select(Batch.__table__).where(Batch.id == batch_id)).one()
    if not row.revision:
        return
    point = OperatingPoint(row.threshold, row.review_low, row.review_high)
    rows = select(*judged.columns(BatchRecord._make(row))).where(Item.batch_id == batch_id)
    for item in map(ItemRecord._make, connection.execute(rows)):
        score, verdict, reasons = item.score, item.verdict, item.reasons
        if score is None:
            continue
        unlike = [reason for reason in UNLIKE if reason in (reasons or "")]
        assert verdict == decide(score, point, unlike), (score, verdict, reasons, point)
        assert (reasons or "") == ",".join(reasons_for(score, point, unlike))


def check_events(connection: Connection) -> None:
    """A sealed batch has an event for each start, retry and end, and the newest one tells its status."""
    rows = connection.execute(select(Batch.__table__)).all()
    events = connection.execute(select(BatchEvent.__table__).order_by(BatchEvent.seq)).all()
    for row in rows:
        mine = [event for event in events if event.batch_id == row.id]
        kinds = Counter(event.type for event in mine)
        assert kinds[STARTED] <= 1
        assert kinds[RETRIED] == row.run - 1
        assert sum(kinds[kind] for kind in BATCH_EVENTS) == row.run - (row.finished_at is None)
        assert row.status != BatchStatus.PAUSED or kinds[PAUSED]
        if mine and row.status != BatchStatus.PROCESSING:
            assert mine[-1].status == row.status, (row, mine[-1])
        assert all(event.seq <= row.version for event in mine)


def check_ends(connection: Connection) -> None:
    """Each end has a completion event."""
    owed = dict(
        connection.execute(
            select(Delivery.batch_id, func.count())
            .where(Delivery.event.in_(BATCH_EVENTS))
            .group_by(Delivery.batch_id)
        ).all()
    )
    for row in connection.execute(select(Batch.id, Batch.finished_at, Batch.run)):
        assert owed.get(row.id, 0) == row.run - (row.finished_at is None), row


def check_told(connection: Connection, *, whole: bool) -> None:
    """No verdict or failure is told twice, by messages of at most a hundred. `whole`: each one that stands is told."""
    told = Counter[tuple[str, str]]()
    for body in connection.scalars(select(Delivery.body).where(Delivery.event == ITEMS_COMPLETED)):
        items = json.loads(body)["data"]["data"]
        assert 0 < len(items) <= 100
        told.update((item["id"], item["finished_at"]) for item in items)
    assert max(told.values(), default=1) == 1, told
    if not whole:
        return
    judged = (
        select(Item.batch_id, Item.seq, Item.finished_at)
        .join(Batch, Batch.id == Item.batch_id)
        .where(
            Batch.sealed.is_(True),
            Item.status.in_([ItemStatus.SUCCEEDED, ItemStatus.FAILED]),
        )
    )
    for batch_id, seq, at in connection.execute(judged):
        assert told[item_id(batch_id, seq), rfc3339(at) or ""] == 1, (batch_id, seq)


def check_fetches(connection: Connection) -> None:
    """A fetch that is owed has a queued item without bytes; one that failed, a failed item; both have no chunk."""
    rows = select(Fetch.status, Item.status, Item.length, Batch.status).join(
        Batch, Batch.id == Fetch.batch_id
    )
    joined = rows.outerjoin(Item, (Item.batch_id == Fetch.batch_id) & (Item.seq == Fetch.seq))
    for fetch, item, length, batch in connection.execute(joined):
        wanted = ItemStatus.FAILED if fetch == FetchStatus.FAILED else ItemStatus.QUEUED
        assert (item, length) == (wanted, 0), (fetch, item, length)
        assert fetch != FetchStatus.HELD or batch == BatchStatus.PAUSED, (fetch, batch)
        assert fetch != FetchStatus.PENDING or batch != BatchStatus.PAUSED, (fetch, batch)


def check_paused(connection: Connection) -> None:
    """No chunk of a paused batch is queued, and none of a batch that runs is held."""
    wrong = case((Batch.status == BatchStatus.PAUSED, ChunkStatus.QUEUED.value), else_=ChunkStatus.HELD.value)
    rows = select(Chunk.batch_id, Chunk.status, Batch.status).join(Batch, Batch.id == Chunk.batch_id)
    assert connection.execute(rows.where(Batch.sealed.is_(True), Chunk.status == wrong)).all() == []
