"""A live worker as the contract shows it."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, Time
from shared.store.worker_records import WorkerRecord


class WorkerPayload(TypedDict):
    id: str
    object: Literal["worker"]
    host: Annotated[str | None, About("null but for a key with the scope `operator`")]
    pid: Annotated[int | None, About("null but for a key with the scope `operator`")]
    lanes: list[str]
    device: str
    engine: str
    threads: int
    models: list[str]
    items: int
    items_per_second: float | None
    started_at: Time
    last_seen_at: Time
    last_progress_at: Time


def worker_payload(row: WorkerRecord, *, with_place: bool) -> WorkerPayload:
    """A live worker from its row. Its place is its host and pid, which are the installation's own business."""
    return {
        "id": row.id,
        "object": "worker",
        # The rest of a host tells containers apart.
        "host": row.host.partition("/")[0] if with_place else None,
        "pid": row.pid if with_place else None,
        "lanes": row.lanes,
        "device": row.device,
        "engine": row.engine,
        "threads": row.threads,
        "models": row.models,
        "items": row.items,
        "items_per_second": row.items_per_s,
        "started_at": rfc3339(row.started_at),
        "last_seen_at": rfc3339(row.last_seen_at),
        "last_progress_at": rfc3339(row.last_progress_at),
    }
