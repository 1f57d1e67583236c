"""How much of a submission goes into one chunk: less than a second of a worker's time, by its own measure.

A large chunk costs little; a small one is lost with little where its worker dies, and keeps nobody waiting for it.
"""

from sqlalchemy import Connection, select

from shared.lifecycle import workers
from shared.settings import Settings
from shared.store.tables import Worker

_FIRST_ITEMS, _FIRST_BYTES = 32, 8 * 2**20
_LAST_ITEMS = 32  # one micro-batch
_SHARES_LEFT = 4  # pieces that what is left of a batch is cut into at least
_UNMEASURED = 256  # items, while no worker has told its speed


def by_speed(connection: Connection, lane: str, settings: Settings) -> int:
    """Items that a worker of this lane does in `chunk_s`, by the mean of those that live; `chunk_items` at most."""
    query = select(Worker.lanes, Worker.items_per_s).where(
        Worker.items_per_s.is_not(None), workers.is_alive(settings.lease_s)
    )
    speeds = [speed for lanes, speed in connection.execute(query) if speed and lane in lanes]
    wanted = round(settings.chunk_s * sum(speeds) / len(speeds)) if speeds else _UNMEASURED
    return min(settings.chunk_items, max(_LAST_ITEMS, wanted))


def items(most: int, number: int, left: int) -> int:
    """Items that chunk `number` of a batch takes, of which `left` items are still to come.

    The first ones are small, so that workers soon have one, and so are the last, so that none is left with a long one
    while the others have nothing more to do.
    """
    return min(most, _FIRST_ITEMS << min(number, 16), max(_LAST_ITEMS, left // _SHARES_LEFT))


def max_bytes(number: int, settings: Settings) -> int:
    """Bytes after which chunk `number` of a batch is closed."""
    return min(settings.chunk_bytes, _FIRST_BYTES << min(number, 16))
