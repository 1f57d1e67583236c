"""Lines: rows that are pending in the order of their due times, each in the line of one receiver and tenant.

A dispatcher (worker.webhooks.dispatch) gives each line few tries at a time: a silent receiver holds up no other.
"""

import hashlib
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy import literal_column as sql
from sqlalchemy.orm import aliased


def line_of(tenant: str, url: str, receiver: str = "") -> str:
    """The line of a tenant's rows for one host and port, `host:port tenant`, or for one receiver there."""
    host = f"{urlsplit(url).netloc.lower()} {tenant}"
    return f"{host}\t{receiver}" if receiver else host


def path_of(url: str) -> str:
    """The receiver at a URL that belongs to no endpoint: a digest of the path, since an index bounds a line."""
    return hashlib.sha256(urlsplit(url).path.encode()).hexdigest()[:16]


def host_of(line: str) -> str:
    """The host and tenant of a line. No tenant holds a tab, so the first one ends them."""
    return line.partition("\t")[0]


def tenant_of(line: str) -> str:
    """The tenant whose rows wait in a line. No URL holds a space, so the first one ends the host."""
    return host_of(line).partition(" ")[2]


def is_pending(row: Any) -> ColumnElement[bool]:
    """The status is spelled out, since a planner that does not see it cannot use the index of pending rows."""
    return row.status == sql("'pending'")  # type: ignore[no-any-return]


def lines_of(table: Any) -> Select[tuple[str]]:
    """Every line of a table in which a row is pending, the longest due first."""
    # The query takes a step through the index for each line, however many rows wait in it.
    first, later, ready = aliased(table), aliased(table), aliased(table)
    lines = select(func.min(first.line).label("line")).where(is_pending(first)).cte("lines", recursive=True)
    following = (
        select(func.min(later.line))
        .where(is_pending(later), later.line > lines.c.line)
        .correlate(lines)
        .scalar_subquery()
    )
    lines = lines.union_all(
        select(following.label("line")).select_from(lines).where(lines.c.line.is_not(None))
    )
    oldest = (
        select(func.min(ready.due_at))
        .where(is_pending(ready), ready.line == lines.c.line)
        .correlate(lines)
        .scalar_subquery()
    )
    return select(lines.c.line).where(lines.c.line.is_not(None)).order_by(oldest, lines.c.line)
