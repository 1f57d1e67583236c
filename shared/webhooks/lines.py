"""The deliveries that are due, and the lines in which they wait."""

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select
from sqlalchemy import literal_column as sql

from shared.contract.states import DeliveryStatus
from shared.store.engine import clock
from shared.store.lines import is_pending, lines_of
from shared.store.tables import Delivery

_BEYOND_ANY_WAIT_S = 2 * 86_400.0  # the longest wait between two tries is 1.2 days


def to_endpoint(endpoint_id: str) -> ColumnElement[bool]:
    """Whether a delivery is owed to this endpoint; `''` is spelled out, for SQLite's use of the partial index."""
    return and_(Delivery.endpoint_id == endpoint_id, Delivery.endpoint_id != sql("''"))


def is_due(now: float) -> ColumnElement[bool]:
    """Whether a delivery is pending and its time has come."""
    # A time beyond any wait was set under a clock that has jumped back since.
    is_time = or_(Delivery.due_at <= now, Delivery.due_at > now + _BEYOND_ANY_WAIT_S)
    return and_(is_pending(Delivery), is_time)


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


def unsent(connection: Connection) -> tuple[int, float]:
    """How many deliveries are pending, and for how many seconds the oldest of them has been owed."""
    query = select(func.count(), func.min(Delivery.created_at), clock()).where(is_pending(Delivery))
    number, since, at = connection.execute(query).one()
    return number, 0.0 if since is None else max(0.0, at - since)


_LINES = lines_of(Delivery)


def waiting(connection: Connection) -> list[str]:
    """Every line in which a delivery is pending, the longest due first."""
    return list(connection.scalars(_LINES))
