"""Judges: a model as one worker process has loaded it. Each verdict names its judge, so it can be traced."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, insert, select

from shared.contract.states import Network
from shared.store.engine import clock
from shared.store.records import ItemRecord, JudgeRecord
from shared.store.tables import Judge

Judges = Mapping[int, JudgeRecord]


def register(
    connection: Connection,
    *,
    worker: str,
    device: str,
    engine: str,
    model_sha256: str,
    preprocessing_sha256: str,
    network: Network | None = None,
) -> int:
    """Keep a judge; returns its id. `network` names one of the two that a cascade holds."""
    return connection.execute(
        insert(Judge)
        .values(
            worker=worker,
            device=device,
            engine=engine,
            model_sha256=model_sha256,
            preprocessing_sha256=preprocessing_sha256,
            network=network,
            created_at=clock(),
        )
        .returning(Judge.id)
    ).scalar_one()


def of(
    connection: Connection, items: Iterable[ItemRecord], known: dict[int, JudgeRecord] | None = None
) -> Judges:
    """The judges of items, by id. Judges in `known` are not read again, and new ones are added to it."""
    found = {} if known is None else known
    missing = {item.judge_id for item in items} - found.keys() - {None}
    if missing:
        rows = connection.execute(select(Judge.__table__).where(Judge.id.in_(missing)))
        found.update((row.id, row) for row in map(JudgeRecord._make, rows))
    return found
