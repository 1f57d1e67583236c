"""Worker rows: the one definition of a live worker, and the changes that a worker makes to its own row.

A worker is alive while its last heartbeat is younger than a lease, by the database's clock. An older one holds no
lease any more. Each process has a random id, since host names and process ids repeat between containers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from shared.store.engine import clock
from shared.store.tables import Worker
from shared.store.worker_records import WorkerRecord


def is_alive(lease_s: float) -> ColumnElement[bool]:
    """The condition on a worker's row."""
    # A heartbeat ahead of the clock was written under a clock that has jumped back since: it proves nothing.
    return and_(Worker.last_seen_at > clock() - lease_s, Worker.last_seen_at < clock() + lease_s)


def alive(connection: Connection, lease_s: float) -> Sequence[WorkerRecord]:
    """All live workers, by id."""
    rows = connection.execute(select(Worker.__table__).where(is_alive(lease_s)).order_by(Worker.id))
    return [WorkerRecord._make(row) for row in rows]


def served_lanes(connection: Connection, lease_s: float) -> set[str]:
    """The lanes that at least one live worker serves."""
    rows = connection.scalars(select(Worker.lanes).where(is_alive(lease_s)))
    return {lane for lanes in rows for lane in lanes}


@dataclass(frozen=True, slots=True)
class Identity:
    """A worker's id, its place (see worker.process) and what it runs on; none of it changes while it lives."""

    id: str
    host: str
    pid: int
    lanes: tuple[str, ...]
    started_at: float


@dataclass(frozen=True, slots=True)
class Progress:
    """The part of a worker's row that each heartbeat writes."""

    models: tuple[str, ...]
    items: int
    items_per_s: float | None
    last_progress_at: float | None


def register(
    connection: Connection, who: Identity, progress: Progress, *, device: str, engine: str, threads: int
) -> None:
    """Put a worker on the list, in place of a row it had before."""
    leave(connection, who.id)
    connection.execute(
        insert(Worker).values(
            id=who.id,
            host=who.host,
            pid=who.pid,
            lanes=list(who.lanes),
            started_at=who.started_at,
            device=device,
            engine=engine,
            threads=threads,
            **_written(progress),
        )
    )


def beat(connection: Connection, worker_id: str, progress: Progress) -> bool:
    """Say that a worker lives; False if it is not on the list."""
    seen = connection.execute(update(Worker).where(Worker.id == worker_id).values(**_written(progress)))
    return seen.rowcount == 1


def _written(progress: Progress) -> dict[str, object]:
    return {
        "models": list(progress.models),
        "items": progress.items,
        "items_per_s": progress.items_per_s,
        "last_progress_at": progress.last_progress_at,
        "last_seen_at": clock(),
    }


def leave(connection: Connection, *worker_ids: str) -> None:
    """Take workers off the list. A worker that lives after all registers again at its next heartbeat."""
    connection.execute(delete(Worker).where(Worker.id.in_(worker_ids)))
