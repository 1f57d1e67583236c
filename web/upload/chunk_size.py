"""How many items go into one chunk: less than a second of a worker's time, by the speed that workers report.

A large chunk costs little for each item. A small one loses little when its worker dies, and lets others take turns. In
the lane `interactive` chunks are much smaller: a person who waits for one verdict waits for the chunk in hand first.
"""

from dataclasses import dataclass

from shared.contract.states import Lane
from shared.settings import Settings

_FIRST_ITEMS, _FIRST_BYTES = 32, 8 * 2**20
_LAST_ITEMS = 32  # one micro-batch
_SHARES_LEFT = 4  # the rest of a batch is cut into at least so many chunks
_UNMEASURED, _UNMEASURED_INTERACTIVE = 256, 16  # items, while no worker has reported its speed


def by_speed(speed: float | None, settings: Settings, lane: str) -> int:
    """Items that a worker of `speed` items a second does in a chunk's time; at most `chunk_items`."""
    if lane == Lane.INTERACTIVE:
        wanted = _UNMEASURED_INTERACTIVE if speed is None else round(settings.interactive_chunk_s * speed)
        return min(settings.chunk_items, max(1, wanted))
    wanted = _UNMEASURED if speed is None else round(settings.chunk_s * speed)
    return min(settings.chunk_items, max(_LAST_ITEMS, wanted))


def items(most: int, number: int, left: int) -> int:
    """Items that chunk `number` of a batch takes if `left` items are still to come.

    The first chunks are small, so that each worker soon has one. The last are small too, so that no worker is left
    with a long chunk while the others have nothing to do.
    """
    return min(most, _FIRST_ITEMS << min(number, 16), max(_LAST_ITEMS, left // _SHARES_LEFT))


def max_bytes(number: int, settings: Settings) -> int:
    """Bytes after which chunk `number` of a batch is closed."""
    return min(settings.chunk_bytes, _FIRST_BYTES << min(number, 16))


@dataclass
class Progress:
    """How far an upload has come, which decides how large its next chunk becomes."""

    settings: Settings
    most_items: int
    expected_bytes: int = 0  # 0: the request does not say its length
    items: int = 0
    bytes: int = 0

    def is_full(self, number: int, items_in_hand: int, size: int) -> bool:
        """Whether chunk `number`, with so many items and bytes, takes no more."""
        # An upload of unknown length is assumed to be half done.
        expected = self.expected_bytes or 2 * self.bytes
        left = self.items * (expected - self.bytes) // max(self.bytes, 1)
        return items_in_hand >= items(self.most_items, number, left) or size >= max_bytes(
            number, self.settings
        )
