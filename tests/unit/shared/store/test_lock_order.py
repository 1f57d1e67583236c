"""The watch over locks sees a transaction that takes them against the order."""

from pathlib import Path

from sqlalchemy import Connection, text

from shared.store.engine import Database
from tests.harness.databases import prepare
from tests.harness.lock_order import lock_order, locked_by


def test_statements_lock_the_rows_that_they_write_or_select_for_update() -> None:
    assert locked_by("UPDATE items SET status='x' WHERE batch_id = 'b'") == ["items"]
    assert locked_by("DELETE FROM parts\n WHERE batch_id = 'b'") == ["parts"]
    assert locked_by("SELECT batches.id FROM batches WHERE batches.id = 'b' FOR UPDATE") == ["batches"]
    covered = (
        "SELECT seq FROM items WHERE NOT (EXISTS (SELECT * FROM chunks)) ORDER BY seq FOR UPDATE OF items"
    )
    assert locked_by(covered) == ["items"]
    assert locked_by("SELECT id FROM batches") == []
    assert locked_by("UPDATE tallies SET count = 1") == []


def _delete_parts_first(connection: Connection) -> None:
    for table in ("parts", "items"):
        connection.execute(text(f"DELETE FROM {table}"))


def test_a_lock_that_is_taken_too_late_is_named_with_its_function(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    prepare(database)
    with lock_order(database) as faults, database.write() as connection:
        _delete_parts_first(connection)
    assert faults == ["_delete_parts_first locks items after parts"]
    database.dispose()


def test_a_transaction_that_ends_gives_its_locks_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with database.write() as connection:
        for table in ("items", "batches"):
            connection.execute(text(f"CREATE TABLE {table} (n INTEGER)"))
    with lock_order(database) as faults:
        for _ in range(2):
            with database.write() as connection:
                connection.execute(text("UPDATE items SET n = 1"))
                connection.execute(text("UPDATE batches SET n = 1"))
    assert faults == []
    database.dispose()
