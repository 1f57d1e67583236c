"""The plans of the statements that the application sends."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, event

from shared.store.engine import Database


@contextlib.contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that the application sends meanwhile, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan(database: Database, statement: str, parameters: Any, *, small: bool = False) -> str:
    """The database's plan, as one text.

    `small`: PostgreSQL shall take an index even where the table is too small to need one.
    """
    how = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.read() as connection:
        if small and not database.is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
        rows = connection.exec_driver_sql(f"{how} {statement}", parameters).all()
        if small and not database.is_sqlite:
            connection.exec_driver_sql("RESET enable_seqscan")
    return "\n".join(str(row[-1]) for row in rows)
