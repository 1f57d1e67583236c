"""Counters and latency histograms of ordinary work, added up over all processes in the database.

A process collects its tallies in memory and writes the sums with its heartbeat, so an item costs no statement. A
process that is killed takes the tallies since its last write with it: they describe the service, and no decision
depends on them. Rare events that must be exact are counted in `shared.lifecycle.counters`.
"""

import logging
import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from shared.store.engine import Database
from shared.store.tables import Tally

log = logging.getLogger(__name__)

# docs/metrics.md says what each stage spans.
Stage = Literal["upload", "predict", "queue", "decode", "infer", "record", "post", "deliver"]
STAGES: tuple[Stage, ...] = get_args(Stage)
# Upper ends of the buckets in seconds; the last bucket has none. Fixed: a row's bucket is its index in this list.
BOUNDS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
)  # fmt: skip
VERDICTS, FAILURES, TRIES, STAGE, CACHED = "verdicts", "failures", "tries", "stage", "cached"
DRIFT_COUNTS = "drift"  # taken away window by window (shared.lifecycle.drift), and no metric


class Key(NamedTuple):
    """The row of a tally: its name, the values of its labels joined by commas, and the bucket of a histogram."""

    name: str
    label: str
    bucket: int = 0


class Sum(NamedTuple):
    """How often something was counted, and the seconds in all (0 for a plain counter)."""

    times: int
    seconds: float = 0.0


def stage(name: Stage, seconds: float) -> Key:
    """The bucket that a latency falls into."""
    return Key(STAGE, name, bisect_left(BOUNDS_S, seconds))


def add(connection: Connection, sums: Mapping[Key, Sum]) -> None:
    """Add to the counters in the caller's transaction."""
    if not sums:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    new = insert(Tally)
    upsert = new.on_conflict_do_update(
        index_elements=[Tally.name, Tally.label, Tally.bucket],
        set_={"count": Tally.count + new.excluded.count, "total": Tally.total + new.excluded.total},
    )
    # In the order of their keys, so that no two processes wait for each other.
    rows = [
        {**key._asdict(), "count": times, "total": seconds} for key, (times, seconds) in sorted(sums.items())
    ]
    connection.execute(upsert, rows)


def read(connection: Connection) -> dict[Key, Sum]:
    """Every counter but those of drift."""
    columns = (Tally.name, Tally.label, Tally.bucket, Tally.count, Tally.total)
    rows = connection.execute(select(*columns).where(Tally.name != DRIFT_COUNTS))
    return {Key(*row[:3]): Sum(*row[3:]) for row in rows}


class Tallies:
    """The tallies of one process since its last write. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[Key, Sum] = {}
        self._stopped = threading.Event()

    def add(self, tallied: Iterable[tuple[Key, Sum]]) -> None:
        """Count; a key may come more than once."""
        with self._lock:
            for key, more in tallied:
                known = self._sums.get(key)
                self._sums[key] = (
                    more if known is None else Sum(known.times + more.times, known.seconds + more.seconds)
                )

    def took(self, name: Stage, seconds: float) -> None:
        """Count one latency of a stage."""
        self.add([(stage(name, seconds), Sum(1, seconds))])

    def take(self) -> dict[Key, Sum]:
        """The sums since the last call."""
        with self._lock:
            taken, self._sums = self._sums, {}
        return taken

    def write(self, database: Database) -> None:
        """Write what has been counted since the last call. It is kept for the next call if the database is away."""
        taken = self.take()
        if not taken:
            return
        try:
            with database.write() as connection:
                add(connection, taken)
        except DBAPIError as error:
            log.warning("the tallies are written later: %s", error.orig)
            self.add(taken.items())

    def write_every(self, database: Database, seconds: float) -> None:
        """Write from a thread of its own, until `stop`."""

        def run() -> None:
            while not self._stopped.wait(seconds):
                self.write(database)

        threading.Thread(target=run, name="tallies", daemon=True).start()

    def stop(self, database: Database) -> None:
        """End the thread, and write what is left."""
        self._stopped.set()
        self.write(database)
