"""How much work is open, by tenant, and how fast the workers end it: read by the upload's bounds."""

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from shared.lifecycle import workers
from shared.store.engine import clock
from shared.store.tables import Batch, Worker


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Open items of batches and their bytes, items a second at which batches under way end, open predictions."""

    items: int = 0
    bytes: float = 0.0
    speed: float = 0.0
    predictions: int = 0

    def __add__(self, other: "OpenWork") -> "OpenWork":
        return OpenWork(
            self.items + other.items,
            self.bytes + other.bytes,
            self.speed + other.speed,
            self.predictions + other.predictions,
        )


_OPEN = Batch.queued + Batch.processing
_ELAPSED = clock() - Batch.started_at - Batch.idle_s
_IS_SINGLE = Batch.origin == "predict"
_BY_TENANT = (
    select(
        Batch.tenant,
        func.sum(case((_IS_SINGLE, 0), else_=_OPEN)),
        # The share of a batch's bytes that its open items have.
        func.sum(case((_IS_SINGLE | (Batch.total == 0), 0.0), else_=1.0 * Batch.bytes * _OPEN / Batch.total)),
        # In the first second a batch shows no speed: divided by less, it would look too fast.
        func.sum(
            case(
                (_IS_SINGLE | Batch.started_at.is_(None), 0.0),
                else_=(Batch.total - _OPEN) / case((_ELAPSED < 1.0, 1.0), else_=_ELAPSED),
            )
        ),
        func.sum(case((_IS_SINGLE, _OPEN), else_=0)),
    )
    .where(Batch.finished_at.is_(None))
    .group_by(Batch.tenant)
)


def by_tenant(connection: Connection) -> dict[str, OpenWork]:
    """The open work of every tenant that has some."""
    rows = connection.execute(_BY_TENANT).all()
    return {row[0]: OpenWork(int(row[1]), float(row[2]), float(row[3]), int(row[4])) for row in rows}


def mean_speed(connection: Connection, lane: str, lease_s: float) -> float | None:
    """Items a second of the mean live worker of a lane; None if no worker has reported a speed."""
    query = select(Worker.lanes, Worker.items_per_s).where(
        Worker.items_per_s.is_not(None), workers.is_alive(lease_s)
    )
    speeds = [speed for lanes, speed in connection.execute(query) if speed and lane in lanes]
    return sum(speeds) / len(speeds) if speeds else None
