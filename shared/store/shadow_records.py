"""The row of a shadow as a frozen record."""

from typing import NamedTuple


class ShadowRecord(NamedTuple):
    id: str
    tenant: str
    model_id: str
    candidate_id: str
    share: float
    started_at: float
    started_by: str | None
    stopped_at: float | None
    stopped_by: str | None
    seen_until: float
    scored: int
