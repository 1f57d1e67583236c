"""Rows of rescorings as frozen records; see `shared.store.records`."""

from typing import NamedTuple

from shared.store.documents import VerdictCount


class RescoringRecord(NamedTuple):
    batch_id: str
    revision: int
    at: float
    key_id: str | None
    old_threshold: float
    old_low: float
    old_high: float
    threshold: float
    review_low: float
    review_high: float
    items: list[VerdictCount]
    parts: list[VerdictCount]
