"""A live worker as the contract shows it."""

from typing import Literal

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import Time
from shared.store.records import WorkerRecord


class WorkerPayload(TypedDict):
    id: str
    object: Literal["worker"]
    host: str
    pid: int
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


def worker_payload(row: WorkerRecord) -> WorkerPayload:
    """A live worker from its row."""
    return {
        "id": row.id,
        "object": "worker",
        "host": row.host.partition("/")[0],  # the rest tells containers apart
        "pid": row.pid,
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
