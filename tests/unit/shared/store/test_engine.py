"""Connections to the database: what a read takes, and what it leaves behind."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from shared import clock as clocks
from shared.store.engine import Database, clock, database_time


def test_reads_in_turn_use_one_connection_however_many_lie_idle(tmp_path: Path) -> None:
    """Each SQLite connection fills a page cache of its own: an export over a hundred of them held 34 MB."""
    database = Database(f"sqlite:///{tmp_path}/a.db", pool_size=20)
    with ExitStack() as many:
        for _ in range(20):
            many.enter_context(database.read())
    used = set()
    for _ in range(20):
        with database.read() as connection:
            connection.execute(text("SELECT 1"))
            used.add(id(connection.connection.dbapi_connection))
    assert len(used) == 1
    database.dispose()


def test_a_read_begins_no_transaction_and_sees_each_commit(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    with database.read() as reading:
        assert reading.scalar(text("SELECT count(*) FROM t")) == 0
        with database.write() as writing:
            writing.execute(text("INSERT INTO t VALUES (1)"))
        assert reading.scalar(text("SELECT count(*) FROM t")) == 1
        driver = reading.connection.dbapi_connection
        assert driver is not None and not driver.in_transaction
    with database.write() as writing:
        driver = writing.connection.dbapi_connection
        assert driver is not None and driver.in_transaction
    database.dispose()


@pytest.mark.pace
def test_a_thread_that_waits_to_write_goes_on_as_soon_as_another_has_ended(tmp_path: Path) -> None:
    """Left to SQLite it would sleep up to a tenth of a second more, in steps; here it would be 88 ms."""
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    begun: list[float] = []

    def write() -> None:
        with database.write():
            begun.append(time.monotonic())

    late = []
    for _ in range(5):
        waiting = threading.Thread(target=write)
        with database.write():
            waiting.start()
            time.sleep(0.44)
        ended = time.monotonic()
        waiting.join(10)
        late.append(begun.pop() - ended)
    assert statistics.median(late) < 0.04, late
    database.dispose()


@pytest.mark.pace
def test_a_thread_that_holds_its_turn_for_long_shuts_nobody_out(tmp_path: Path) -> None:
    """A turn is a courtesy of one process: whether another may write, SQLite alone says."""
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    waiting = threading.Thread(target=_write_one, args=(database,))
    with database.write():
        waiting.start()
        time.sleep(1.5)
    waiting.join(10)
    _write_one(database)
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 2
    database.dispose()


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """SQLite told one in thirty of those that met here that the file was locked, at once and whatever the timeout."""
    for number in range(40):
        databases = [Database(f"sqlite:///{tmp_path}/{number}.db") for _ in range(6)]
        meeting = threading.Barrier(6)

        def open_it(database: Database, meeting: threading.Barrier = meeting) -> None:
            meeting.wait(30)
            with database.read() as connection:
                assert connection.scalar(text("PRAGMA journal_mode")) == "wal"

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(open_it, databases))
        for database in databases:
            database.dispose()


def test_sqlite_reads_one_time_for_a_statement_and_a_new_one_for_the_next(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        for _ in range(300):
            connection.execute(text("INSERT INTO t VALUES (1)"))
    rows = select(clock()).select_from(text("t"))
    with database.read() as connection:
        first, second = (set(connection.scalars(rows)) for _ in range(2))
    assert len(first) == len(second) == 1
    assert 0 < second.pop() - first.pop() < 60
    database.dispose()


def test_a_jump_of_this_machines_clock_does_not_move_the_time_of_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, jump = Database(f"sqlite:///{tmp_path}/a.db"), 0.0
    true_offset = clocks.offset
    monkeypatch.setattr(clocks, "offset", lambda up: true_offset(up) + jump)
    with database.read() as connection:
        before = database_time(connection)
        jump = 400 * 86400.0
        assert 0 <= database_time(connection) - before < 10
    database.dispose()


def _write_one(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))


def test_an_error_of_the_database_shows_no_value_of_its_statement(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(DBAPIError) as caught, database.write() as connection:
        connection.execute(text("INSERT INTO nowhere (secret) VALUES (:secret)"), {"secret": "whsec_abc"})
    assert "INSERT INTO nowhere" in str(caught.value)
    assert "whsec_abc" not in str(caught.value)
    database.dispose()
