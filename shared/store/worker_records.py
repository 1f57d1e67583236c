"""Rows of workers, as `shared.store.records` has those of other tables."""

from typing import NamedTuple


class WorkerRecord(NamedTuple):
    id: str
    host: str
    pid: int
    lanes: list[str]
    device: str
    engine: str
    threads: int
    models: list[str]
    started_at: float
    last_seen_at: float
    last_progress_at: float | None
    items: int
    items_per_s: float | None
