"""The guards against what surrounds the service, each taken out: power, clocks, neighbours, proxies, a pooler."""

import time
from typing import Any

from sqlalchemy.engine import default

from tests.faults.mutants.mutant import Mutant, put


def _set_aside() -> None:
    """A log that Valkey refuses stays where it is."""
    from shared.cli.embedded import queue_log

    put(queue_log.Guard, heal=lambda guard, status: None)


def _even_clock() -> None:
    """SQLite follows each jump of the wall clock at once, and the sweep doubts no clock. Each alone holds the row."""
    from shared import clock
    from worker.upkeep import steady

    put(clock.EvenClock, now=lambda self: time.time())
    put(steady.SteadyClock, read=lambda self: self._time_of())


def _standing_lease() -> None:
    """A lease ends by its time alone, however long ago it was renewed."""
    from worker.upkeep import unchanged

    put(unchanged.Unchanged, seconds=lambda self, name, found: dict.fromkeys(found, 0.0))


def _prefix() -> None:
    """Keys and channels have the names that every installation gives them."""
    from shared.broker import queues

    put(queues, prefix=lambda settings: "")


def _place() -> None:
    """A process is known by its host name and process id."""
    import socket

    from worker import process

    put(process, place=lambda: f"{socket.gethostname()}/boot/namespace")


def _weak_tags() -> None:
    """A tag that a proxy has weakened is another tag."""
    from werkzeug.datastructures import ETags

    put(ETags, contains_weak=lambda self, tag: self.contains(tag))


def _trusted_proxies() -> None:
    """Forwarded headers count, whoever sends them."""
    from web.server import front

    put(front.Front, _trusts=lambda self, peer: True)


def _forwarded() -> None:
    """Forwarded headers never count."""
    from web.server import front

    put(front.Front, _trusts=lambda self, peer: False)


def _unprepared() -> None:
    """Statements are prepared, and the next transaction may come to a connection that does not have them."""
    from sqlalchemy.dialects.postgresql import psycopg

    whole = psycopg.PGDialect_psycopg.connect

    def connect(self: default.DefaultDialect, *args: Any, **options: Any) -> Any:
        return whole(self, *args, **{**options, "prepare_threshold": 0})

    put(psycopg.PGDialect_psycopg, connect=connect)


MUTANTS = {
    "setting the queue's log aside": Mutant(_set_aside, 35, "starts_on_an_unreadable_queue"),
    "wait for an even clock": Mutant(_even_clock, 36, "clock_that_jumps"),
    "lease that stands still": Mutant(_standing_lease, 36, "clock_that_ran_ahead"),
    "prefix of the broker's names": Mutant(_prefix, 37, "second_installation"),
    "place of a process": Mutant(_place, 38, "two_containers"),
    "weak tags": Mutant(_weak_tags, 42, "poll_is_held", ("tests/integration/test_proxies.py",)),
    "trusted proxies": Mutant(
        _trusted_proxies, 42, "not_trusted_change_nothing", ("tests/integration/test_proxies.py",)
    ),
    "forwarded headers": Mutant(
        _forwarded, 42, "links_of_answers or signs_in", ("tests/integration/test_proxies.py",)
    ),
    "unprepared statements": Mutant(_unprepared, 43, "behind_a_pooler_loses"),
}
