"""How long this process has seen a lease unchanged, which needs no wall clock: a holder that lives renews its lease."""

import time
from collections.abc import Hashable


class Unchanged:
    """Remembers, for each key of the last look, since when it has had its value."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[Hashable, tuple[Hashable, float]]] = {}

    def seconds(self, kind: str, values: dict[Hashable, Hashable]) -> dict[Hashable, float]:
        """For each key, how long it has had this value; 0 at the first look. Keys that are not named are forgotten."""
        now, before = time.monotonic(), self._seen.get(kind, {})
        after = {}
        for key, value in values.items():
            old = before.get(key)
            after[key] = old if old is not None and old[0] == value else (value, now)
        self._seen[kind] = after
        return {key: now - since for key, (_, since) in after.items()}
