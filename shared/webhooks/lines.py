"""The deliveries that are due, and the lines in which they wait."""

from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select
from sqlalchemy import literal_column as sql
from sqlalchemy.orm import aliased

from shared.contract.states import DeliveryStatus
from shared.store.engine import clock
from shared.store.tables import Delivery

_BEYOND_ANY_WAIT_S = 2 * 86_400.0  # the longest wait between two tries is 1.2 days


def _is_pending(delivery: Any) -> ColumnElement[bool]:
    """The status is spelled out, since a planner that does not see it cannot use the index of pending deliveries."""
    return delivery.status == sql("'pending'")  # type: ignore[no-any-return]


def line_of(tenant: str, url: str) -> str:
    """The line in which deliveries of a tenant to one host and port wait: `host:port tenant`."""
    parts = urlsplit(url)
    return f"{parts.netloc.lower()} {tenant}"


def tenant_of(line: str) -> str:
    """The tenant whose deliveries wait in a line. No URL holds a space, so the first one ends the host."""
    return line.partition(" ")[2]


def is_due(now: float) -> ColumnElement[bool]:
    """Whether a delivery is pending and its time has come."""
    # A time beyond any wait was set under a clock that has jumped back since.
    is_time = or_(Delivery.due_at <= now, Delivery.due_at > now + _BEYOND_ANY_WAIT_S)
    return and_(_is_pending(Delivery), is_time)


def due(connection: Connection, limit: int, now: float, *, line: str | None = None) -> list[str]:
    """Ids of at most `limit` pending deliveries that are due at `now`, the longest due first; of one line if named."""
    query = select(Delivery.id).where(is_due(now)).order_by(Delivery.due_at).limit(limit)
    if line is not None:
        query = query.where(Delivery.line == line)
    return list(connection.scalars(query))


def given_up(connection: Connection, recent_s: float) -> tuple[int, int]:
    """How many kept deliveries were given up: in the last `recent_s` seconds, and before."""
    query = select(func.count()).where(Delivery.status == DeliveryStatus.EXHAUSTED)
    recent = connection.scalar(query.where(Delivery.finished_at > clock() - recent_s)) or 0
    return recent, (connection.scalar(query) or 0) - recent


def _lines() -> Any:
    # One step through the index for each line, however many deliveries wait in it.
    first, later, ready = aliased(Delivery), aliased(Delivery), aliased(Delivery)
    lines = select(func.min(first.line).label("line")).where(_is_pending(first)).cte("lines", recursive=True)
    following = (
        select(func.min(later.line))
        .where(_is_pending(later), later.line > lines.c.line)
        .correlate(lines)
        .scalar_subquery()
    )
    lines = lines.union_all(
        select(following.label("line")).select_from(lines).where(lines.c.line.is_not(None))
    )
    oldest = (
        select(func.min(ready.due_at))
        .where(_is_pending(ready), ready.line == lines.c.line)
        .correlate(lines)
        .scalar_subquery()
    )
    return select(lines.c.line).where(lines.c.line.is_not(None)).order_by(oldest, lines.c.line)


_LINES = _lines()


def waiting(connection: Connection) -> list[str]:
    """Every line in which a delivery is pending, the longest due first."""
    return list(connection.scalars(_LINES))
