"""The plans of the statements that the application sends."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, event

from tests.harness.application import Application


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


def plan(app: Application, statement: str, parameters: Any) -> str:
    """The database's plan, as one text."""
    how = "EXPLAIN QUERY PLAN" if app.database.is_sqlite else "EXPLAIN"
    with app.database.read() as connection:
        rows = connection.exec_driver_sql(f"{how} {statement}", parameters).all()
    return "\n".join(str(tuple(row)) for row in rows)
