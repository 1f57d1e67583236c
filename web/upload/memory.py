"""Memory that uploads hold at the same time, counted over all requests of a process before it is taken.

The directory of a zip and the images of a part of a draft are bounded for each upload. Thirty-two uploads at once
would together still take gigabytes.
"""

import threading
from collections import Counter

from web.http.problems import HttpProblem

MOST_BYTES = 2**28
OF_A_TENANT = MOST_BYTES // 2
FREE_BYTES = 2**21  # of each upload, which are not counted
ITEM_BYTES = 600  # of an image: its name, hash, tags and place as objects


class Memory:
    """The memory of one process: `most` bytes, of which a tenant may hold `of_a_tenant`."""

    def __init__(self, most: int = MOST_BYTES, of_a_tenant: int = OF_A_TENANT) -> None:
        self._most, self._of_a_tenant = most, of_a_tenant
        self._lock = threading.Lock()
        self._held = Counter[str]()

    def take(self, tenant: str, size: int) -> None:
        """Count so many bytes more. Raises 503 where that is too much; a later try may find them free."""
        with self._lock:
            if self._held.total() + size > self._most or self._held[tenant] + size > self._of_a_tenant:
                detail = "too many large zips, or parts of drafts, at once"
                raise HttpProblem(503, "overloaded", detail, retry_after_s=5)
            self._held[tenant] += size

    def give_back(self, tenant: str, size: int) -> None:
        with self._lock:
            self._held[tenant] -= size
            if not self._held[tenant]:
                del self._held[tenant]

    def held(self) -> int:
        """The bytes that are counted now."""
        with self._lock:
            return self._held.total()


class Share:
    """The memory of one upload. It is given back at the end of the `with` statement."""

    def __init__(self, memory: Memory, tenant: str) -> None:
        self._memory, self._tenant = memory, tenant
        self._asked = self._taken = 0

    def hold(self, size: int) -> None:
        """Count bytes before they are taken. Raises 503."""
        self._asked += size
        more = max(0, self._asked - FREE_BYTES) - self._taken
        if more > 0:
            self._memory.take(self._tenant, more)
            self._taken += more

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.give_back(self._tenant, self._taken)
        self._asked = self._taken = 0
