"""Windows of requests that this process counts alone, while the broker is away.

By the monotonic clock: a window that began under a wall clock that ran ahead would refuse its key until that time.
"""

import threading
import time
from collections.abc import Hashable

MOST = 10_000


class Windows:
    """Fixed windows by name: each begins with its first request, and lasts for its seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Hashable, tuple[int, float]] = {}  # requests left, end

    def __len__(self) -> int:
        return len(self._open)

    def take(self, name: Hashable, amount: int, seconds: float, most: int) -> tuple[int, int, float]:
        """(requests taken of those left, at most `most`; requests left then; seconds to the end of the window)."""
        now = time.monotonic()
        with self._lock:
            left, ends_at = self._open.get(name, (amount, 0.0))
            if now >= ends_at:
                left, ends_at = amount, now + seconds
            taken = min(left, most)
            if len(self._open) >= MOST and name not in self._open:
                self._open = {each: held for each, held in self._open.items() if now < held[1]}
                if len(self._open) >= MOST:
                    self._open.clear()
            self._open[name] = (left - taken, ends_at)
        return taken, left - taken, ends_at - now
