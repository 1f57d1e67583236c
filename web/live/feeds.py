"""Events of batches as the streams of one process see them: read once for all the streams of a batch.

A wake-up call tells that a batch has changed. The first stream that looks after it reads the database, and the others
get what it found. A call may be lost, so that a reading also gets old by itself.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import bindparam, select

from shared.lifecycle import events
from shared.store.engine import Database
from shared.store.records import BatchEventRecord, BatchRecord
from shared.store.tables import Batch
from web.live.waits import Wakes

_NEWEST, _PAGE = 50, 200
_OLD_S = 2.0
_BATCHES_REMEMBERED = 1000
_BATCH = select(Batch.__table__).where(Batch.id == bindparam("in_batch"))


class Reading(NamedTuple):
    """A batch and its newest events, in their order. `is_whole`: it has no other events. `sequence` is that of the
    wake-up calls before it was read."""

    batch: BatchRecord
    newest: Sequence[BatchEventRecord]
    is_whole: bool
    sequence: int
    at: float
    texts: dict[tuple[int, str], str]  # of the batch at a version, for clients of one address

    @property
    def last_event(self) -> int:
        """The number of the newest event; 0 where there is none."""
        return self.newest[-1].seq if self.newest else 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows the newest event, unless the batch is retried."""
        if not self.newest:
            return self.batch.finished_at is not None
        # Not by its name: an alert about defects, or a rescoring, may follow the end.
        return self.newest[-1].finished_at is not None


class Feeds:
    """The readings of one process. Safe to call from any thread."""

    def __init__(self, database: Database, wakes: Wakes) -> None:
        self._database, self.wakes = database, wakes
        self._readings: OrderedDict[str, Reading] = OrderedDict()
        self._lock = threading.Lock()
        self._streams = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a stream while it is open."""
        with self._lock:
            self._streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1

    def spread_s(self, least_s: float, a_second: int) -> float:
        """Seconds between two looks of a stream: `least_s`, or more where all the open streams together would look more
        than `a_second` times a second."""
        return max(least_s, self._streams / a_second)

    def look(self, batch_id: str) -> Reading | None:
        """The batch as it stands, at most some seconds ago; None where it has been deleted."""
        # Under the lock, so that of a thousand streams that wake at once one reads.
        with self._lock:
            known = self._readings.get(batch_id)
            is_old = known is None or time.monotonic() - known.at > _OLD_S
            if known is not None and not is_old and self.wakes.told(batch_id) <= known.sequence:
                return known
            found = self._read(batch_id)
            if found is None:
                self._readings.pop(batch_id, None)
                return None
            self._readings[batch_id] = found
            self._readings.move_to_end(batch_id)
            if len(self._readings) > _BATCHES_REMEMBERED:
                self._readings.popitem(last=False)
            return found

    def later(self, reading: Reading, last: int) -> Sequence[BatchEventRecord]:
        """The events after `last`, in their order; the first some hundreds of them."""
        if reading.is_whole or (reading.newest and reading.newest[0].seq <= last):
            return [event for event in reading.newest if event.seq > last]
        with self._database.read() as connection:
            return events.later(connection, reading.batch.id, last, _PAGE)

    def _read(self, batch_id: str) -> Reading | None:
        at, sequence = time.monotonic(), self.wakes.sequence
        with self._database.read() as connection:
            # The batch first: every event up to its version is committed by then.
            row = connection.execute(_BATCH, {"in_batch": batch_id}).first()
            if row is None:
                return None
            newest = events.newest(connection, batch_id, _NEWEST)
        return Reading(BatchRecord._make(row), newest, len(newest) < _NEWEST, sequence, at, {})
