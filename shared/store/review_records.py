"""Rows of reviews as frozen records, in the order of the columns of their tables."""

from typing import NamedTuple


class OpinionRecord(NamedTuple):
    id: int
    batch_id: str
    seq: int
    tenant: str
    verdict: str
    note: str | None
    key_id: str
    name: str
    at: float
    undone_at: float | None


class EntryRecord(NamedTuple):
    batch_id: str
    seq: int
    tenant: str
    line: str | None
    source: str
    share: float
    status: str
    place: float
    rounds: int
    given: int
    holder: str | None
    lease_until: float | None
    verdict: str | None
    reviewed_at: float | None
