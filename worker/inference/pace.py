"""A worker's own measure of its speed."""

_KEPT_ITEMS = 2048


class Pace:
    """Items a second of decoding and predicting, over the last few thousand items. Waiting for work does not count."""

    def __init__(self) -> None:
        self._items, self._seconds = 0.0, 0.0

    @property
    def items_per_s(self) -> float | None:
        """None before the first items."""
        return self._items / self._seconds if self._seconds else None

    def add(self, items: int, seconds: float) -> None:
        """Count so many items that took so long; older ones lose weight."""
        self._items += items
        self._seconds += seconds
        if self._items > _KEPT_ITEMS:
            self._items, self._seconds = self._items / 2, self._seconds / 2
