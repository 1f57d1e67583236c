"""What must hold between a batch's counters and its items, whatever has happened to it."""

from collections import Counter

from sqlalchemy import Connection, func, select

from shared.contract.states import ItemStatus
from shared.store.tables import Batch, Item


def check_counters(connection: Connection) -> None:
    rows = connection.execute(select(Batch.__table__)).all()
    counted = connection.execute(
        select(Item.batch_id, Item.status, Item.verdict, func.count()).group_by(
            Item.batch_id, Item.status, Item.verdict
        )
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
