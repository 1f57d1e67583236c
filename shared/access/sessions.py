"""Sessions of the pages: a random token in a cookie, of which only the SHA-256 is kept, and the key that began it.

A session ends by signing out, by its own time, and with its key: revoked, expired, or rotated without grace.
"""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, or_, select

from shared.access.keys import LIVE
from shared.ids import new_id
from shared.store.engine import clock
from shared.store.records import ApiKeyRecord
from shared.store.tables import ApiKey, Session


class Ended(NamedTuple):
    """A session that ended just now, its key, and the tenant of that."""

    id: str
    key_id: str
    tenant: str


_BEGIN = insert(Session).values(created_at=clock(), expires_at=clock() + bindparam("lasts_s"))
_KEY = (
    select(ApiKey.__table__)
    .join(Session, Session.key_id == ApiKey.id)
    .where(Session.sha256 == bindparam("of_token"), Session.expires_at > clock(), *LIVE)
)
_END = delete(Session).where(Session.sha256 == bindparam("of_token")).returning(Session.id, Session.key_id)


def begin(connection: Connection, key_id: str, lasts_s: float) -> tuple[str, str]:
    """Begin a session of a live key; returns (id, token)."""
    identifier, token = new_id("ses"), secrets.token_urlsafe(32)
    connection.execute(
        _BEGIN, {"id": identifier, "sha256": _digest(token), "key_id": key_id, "lasts_s": lasts_s}
    )
    return identifier, token


def find_key(connection: Connection, token: str) -> ApiKeyRecord | None:
    """The live key of the session with this token, or None where either has ended."""
    row = connection.execute(_KEY, {"of_token": _digest(token)}).first()
    return None if row is None else ApiKeyRecord._make(row)


def end(connection: Connection, token: str) -> Ended | None:
    """End the session with this token; None where there is none."""
    row = connection.execute(_END, {"of_token": _digest(token)}).first()
    if row is None:
        return None
    tenant = connection.execute(select(ApiKey.tenant).where(ApiKey.id == row.key_id)).scalar_one()
    return Ended(row.id, row.key_id, tenant)


def outlived(connection: Connection, at: float, most: int) -> list[str]:
    """Ids of at most `most` sessions whose own time, or whose key, had ended at `at` (seconds since the epoch)."""
    ended = or_(Session.expires_at < at, ApiKey.expires_at < at, ApiKey.revoked_at.is_not(None))
    query = select(Session.id).join(ApiKey, ApiKey.id == Session.key_id).where(ended).limit(most)
    return list(connection.scalars(query))


def forget(connection: Connection, session_ids: list[str]) -> None:
    """Delete the rows of sessions that have ended."""
    connection.execute(delete(Session).where(Session.id.in_(session_ids)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
