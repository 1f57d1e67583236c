"""The database: one engine for each process, a writing and a reading transaction, and the database's own clock.

SQLite and PostgreSQL run the same statements. On SQLite each writing transaction begins IMMEDIATE: a deferred
transaction that reads first and writes later fails with SQLITE_BUSY, however long the timeout is.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import Float

from shared.clock import EvenClock
from shared.errors import SettingsError, Unavailable
from shared.store.address import POOLED, read_url

_T = TypeVar("_T")
_BUSY_TIMEOUT_MS = 30_000
_TURN_S = 1.0  # after that, SQLite's own lock decides
_NO_BEGIN = "gonogo_no_begin"
_SETTLE_S = 60.0
log = logging.getLogger(__name__)


class clock(FunctionElement[float]):
    """Seconds since the epoch by the database's clock: a worker whose clock is wrong steals no lease."""

    type = Float()
    inherit_cache = True


@compiles(clock, "postgresql")
def _clock_postgresql(_element: clock, _compiler: object, **_: object) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


@compiles(clock, "sqlite")
def _clock_sqlite(_element: clock, _compiler: object, **_: object) -> str:
    # SQLite has no server whose clock all share: each process would read its own wall clock, jumps included.
    return "gonogo_now()"


def database_time(connection: Connection) -> float:
    """Seconds since the epoch by the database's clock, now."""
    return float(connection.scalar(select(clock())) or 0.0)


class Database:
    """An engine and its kinds of transaction.

    `durable` makes each commit wait for the disk (the web process, which answers 202 for it). Workers may lose
    the last commits to a power cut: their leases then expire and the work is done again. `settle_s` is how long a
    clock that jumped must run evenly before SQLite follows it.
    """

    def __init__(
        self, url: str, *, durable: bool = True, pool_size: int = 5, settle_s: float = _SETTLE_S
    ) -> None:
        parsed = read_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        # PgBouncer in transaction mode refuses start-up options and loses prepared statements between transactions.
        pooled = POOLED in parsed.query
        parsed = parsed.difference_update_query([POOLED])
        options: dict[str, Any] = {
            # An error names its statement in logs; the values may be secrets of webhooks or a client's metadata.
            "hide_parameters": True,
            "pool_pre_ping": not self.is_sqlite,
            "pool_size": pool_size,
            "max_overflow": 64,
            # The connection used last has a warm page cache. Taken in turn, each connection would fill its own.
            "pool_use_lifo": True,
        }
        if pooled:
            options["connect_args"] = {"connect_timeout": 5, "prepare_threshold": None}
        elif not self.is_sqlite:
            options["connect_args"] = {
                "connect_timeout": 5,
                # A prepared statement keeps the plan that it got while its table was small, until PostgreSQL analyzes
                # the table: a claim among 100,000 new chunks took 450 ms by such a plan, and 2 ms by a fresh one.
                "prepare_threshold": None,
                "options": "-c statement_timeout=60000 -c lock_timeout=30000"
                " -c idle_in_transaction_session_timeout=60000",
            }
        self.engine: Engine = create_engine(parsed, **options)
        event.listen(self.engine, "handle_error", _name_pooler)
        if self.is_sqlite:
            _prepare_sqlite(self.engine, durable, EvenClock(settle_s))
        # SQLite's driver is in autocommit already; if SQLAlchemy set it for each read, that would cost two statements.
        reading = {_NO_BEGIN: True} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reads = self.engine.execution_options(**reading)
        # SQLite lets one transaction write at a time, and a writer that finds it locked sleeps, longer each time.
        # The threads of this process take turns instead: each wakes as soon as the one before has ended.
        self._turn = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end and rolls back on an error."""
        taken = self.is_sqlite and self._turn.acquire(timeout=_TURN_S)
        try:
            with self.engine.begin() as connection:
                yield connection
        finally:
            if taken:
                self._turn.release()

    @contextmanager
    def altering(self) -> Iterator[Connection]:
        """A transaction that may alter tables.

        SQLite alters most things by copying a table and dropping the old one. With foreign keys enforced, dropping
        deletes the rows first, which fails for rows that others refer to; and the pragma has no effect inside a
        transaction. So it is off here, and the references are checked before the commit.
        """
        with self.engine.connect() as connection:
            if self.is_sqlite:
                self._foreign_keys(connection, "OFF")
            try:
                with connection.begin():
                    yield connection
                    if self.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                        raise RuntimeError(
                            "the change of the tables would leave a reference to a missing row"
                        )
            finally:
                if self.is_sqlite:
                    self._foreign_keys(connection, "ON")

    @staticmethod
    def _foreign_keys(connection: Connection, state: str) -> None:
        raw = connection.connection.driver_connection  # by SQLAlchemy, it would begin a transaction first
        assert raw is not None
        raw.execute(f"PRAGMA foreign_keys={state}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose statements each see the newest committed state; it takes no lock."""
        with self._reads.connect() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def _name_pooler(context: ExceptionContext) -> None:
    """Say what to change where PgBouncer refuses our start-up options: trying again would not help."""
    if "unsupported startup parameter" in str(context.original_exception):
        raise SettingsError(f"GONOGO_DATABASE_URL leads to a PgBouncer: add ?{POOLED}=true to it")


def _prepare_sqlite(engine: Engine, durable: bool, wall: EvenClock) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        # Deterministic, so that SQLite asks once for each statement it runs, and not once for each row.
        connection.create_function("gonogo_now", 0, wall.now, deterministic=True)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        _use_wal(cursor)
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(_NO_BEGIN):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Retry the switch to WAL: of several openers of a new file, SQLite refuses some whatever their timeout says."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def is_away(error: DBAPIError) -> bool:
    """Whether the database is at fault and not the statement: it is gone, restarting, locked or full."""
    if error.connection_invalidated:
        return True
    return isinstance(error, OperationalError)


def retrying(unit: Callable[[], _T], *, give_up_after_s: float = 60.0) -> _T:
    """Run a whole unit of work again while the database is away; raises Unavailable after `give_up_after_s`.

    The unit must be safe to repeat: if its commit succeeded and the answer was lost, the compare-and-set of the
    second run finds the change made.
    """
    started, wait = time.monotonic(), 0.1
    while True:
        try:
            return unit()
        except DBAPIError as error:
            if not is_away(error):
                raise
            if time.monotonic() - started > give_up_after_s:
                raise Unavailable("the database is away", code="database_unavailable") from error
            log.warning("the database is away, trying again in %.1f s: %s", wait, error.orig)
        time.sleep(wait)
        wait = min(wait * 2, 2.0)
