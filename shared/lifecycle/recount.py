"""A batch's counters against its items and parts. Both change in one transaction, so a difference is a fault."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, case, func, literal, literal_column, select, update

from shared.contract.states import ItemStatus, Outcome, Verdict
from shared.lifecycle import judged, judged_parts
from shared.store.tables import Batch, Item, Part

COUNTERS = (
    "total",
    *(status.value for status in ItemStatus),
    *(verdict.value for verdict in Verdict),
    "unfamiliar",
    "parts",
    *(f"{verdict}_parts" for verdict in Verdict),
)

_PARTS = (
    select(judged_parts.NOW.label("judged"), func.count())
    .join(Batch, Batch.id == Part.batch_id)
    .where(Part.batch_id == bindparam("in_batch"))
    .group_by(literal_column("judged"))
)


def recount(connection: Connection, batch_id: str, *, mend: bool = False) -> dict[str, tuple[int, int]]:
    """The counters of a batch that differ from its items, each as (said, counted); `mend` sets them right.

    The batch is locked first: a writer of items counts them under this lock, so that both changes are seen or
    neither.
    """
    row = connection.execute(
        select(Batch.__table__).where(Batch.id == batch_id).with_for_update()
    ).one_or_none()
    if row is None:
        return {}
    query = (
        select(
            Item.status,
            judged.NOW.label("judged"),
            func.count(),
            func.sum(case((judged.IS_UNLIKE, 1), else_=0)),
        )
        .join(Batch, Batch.id == Item.batch_id)
        .where(Item.batch_id == batch_id)
        .group_by(Item.status, literal_column("judged"))
    )
    counted = dict.fromkeys(COUNTERS, 0)
    for status, verdict, number, unlike in connection.execute(query):
        counted["unfamiliar"] += unlike
        for name in ("total", status, verdict):
            if name is not None:
                counted[name] += number
    for verdict, number in connection.execute(_PARTS, {"in_batch": batch_id}):
        counted["parts"] += number
        if verdict is not None:
            counted[f"{verdict}_parts"] += number
    said = {name: int(getattr(row, name)) for name in COUNTERS}
    wrong = {name: (said[name], counted[name]) for name in COUNTERS if said[name] != counted[name]}
    if wrong and mend:
        _set(connection, batch_id, counted)
    return wrong


def suspects(connection: Connection) -> Sequence[str]:
    """Batches whose counters seem to differ, by one pass over all items without a lock.

    A batch under way may be seen between two transactions, so each suspect needs a `recount`.
    """
    by_status = select(Item.batch_id, Item.status, func.count()).group_by(Item.batch_id, Item.status)
    by_verdict = (
        select(Item.batch_id, judged.NOW.label("judged"), func.count())
        .join(Batch, Batch.id == Item.batch_id)
        .group_by(Item.batch_id, literal_column("judged"))
    )
    unlike = (
        select(Item.batch_id, literal("unfamiliar"), func.count())
        .where(judged.IS_UNLIKE)
        .group_by(Item.batch_id)
    )
    parts = select(Part.batch_id, literal("parts"), func.count()).group_by(Part.batch_id)
    of_parts = (
        select(Part.batch_id, judged_parts.NOW.concat("_parts").label("judged"), func.count())
        .join(Batch, Batch.id == Part.batch_id)
        .group_by(Part.batch_id, literal_column("judged"))
    )
    said = {
        (row.id, name): number
        for row in connection.execute(select(Batch.__table__))
        for name, number in row._mapping.items()
        if name in COUNTERS and name != "total" and number
    }
    counted = {
        (row[0], row[1]): row[2]
        for query in (by_status, by_verdict, unlike, parts, of_parts)
        for row in connection.execute(query)
        if row[1] is not None
    }
    return sorted({key[0] for key, _ in {*said.items()} ^ {*counted.items()}})


def _set(connection: Connection, batch_id: str, counted: Mapping[str, int]) -> None:
    outcome = (
        Outcome.ALL_SUCCEEDED
        if counted["succeeded"] == counted["total"]
        else Outcome.ALL_FAILED
        if counted["succeeded"] == 0
        else Outcome.PARTIAL
    )
    connection.execute(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(
            **counted,
            outcome=case((Batch.finished_at.is_not(None), outcome), else_=None),
            version=Batch.version + 1,
        )
    )
