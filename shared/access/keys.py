"""API keys: a prefix for the look-up and 32 random bytes, of which only the SHA-256 is kept.

The secret has full entropy, so a slow password hash would add nothing.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, func, insert, or_, select, update

from shared.clock import now
from shared.contract.scopes import SCOPES
from shared.errors import GonogoError
from shared.ids import new_id
from shared.registry.activations import INSTALLATION
from shared.store.engine import clock
from shared.store.records import ApiKeyRecord
from shared.store.tables import ApiKey, Session

_KEYS = ApiKey.__table__
# Expiry goes by the clock of the database, so that every web process refuses a key at the same moment.
LIVE = (ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > clock()))
_BY_PREFIX = select(_KEYS).where(ApiKey.prefix == bindparam("of_prefix"))
_BY_PREFIX_LIVE = _BY_PREFIX.where(*LIVE)


class UnknownScope(GonogoError):
    code = "unknown_scope"


class InvalidTenant(GonogoError):
    code = "invalid_tenant"


class AlreadyReplaced(GonogoError):
    """A rotation names a key that a rotation has replaced before."""

    code = "wrong_state"


def check_tenant(tenant: str) -> None:
    """Raise InvalidTenant unless a key may belong to this tenant."""
    fits = 1 <= len(tenant) <= 64 and tenant.isprintable() and tenant == tenant.strip()
    if not fits or tenant in (INSTALLATION, ".", ".."):
        raise InvalidTenant(
            f"a tenant has 1 to 64 printable characters, no space at either end, and is not {INSTALLATION}, . or .."
        )


def create_key(
    connection: Connection, *, tenant: str, name: str, scopes: Iterable[str], expires_at: float | None = None
) -> tuple[str, str]:
    """Make a key; returns (id, secret). The secret is `gng_<prefix>_<random>` and cannot be shown again.

    Raises InvalidTenant or UnknownScope.
    """
    check_tenant(tenant)
    wanted = sorted(set(scopes))
    if not wanted or not set(wanted) <= set(SCOPES):
        raise UnknownScope(f"scopes are some of {', '.join(SCOPES)}")
    identifier, prefix = new_id("key"), secrets.token_hex(6)
    secret = f"gng_{prefix}_{secrets.token_hex(32)}"
    connection.execute(
        insert(ApiKey).values(
            id=identifier,
            tenant=tenant,
            name=name,
            prefix=prefix,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            scopes=wanted,
            created_at=now(),
            expires_at=expires_at,
        )
    )
    return identifier, secret


def find_key(connection: Connection, secret: str) -> ApiKeyRecord | None:
    """The live key with this secret, or None."""
    return _with_secret(connection, secret, live=True)


def find_dead_key(connection: Connection, secret: str) -> ApiKeyRecord | None:
    """The key with this secret, revoked or expired as it may be, or None: for a refusal that says whose key it was."""
    return _with_secret(connection, secret, live=False)


def _with_secret(connection: Connection, secret: str, *, live: bool) -> ApiKeyRecord | None:
    parts = secret.split("_")
    if len(parts) != 3 or parts[0] != "gng":
        return None
    row = connection.execute(_BY_PREFIX_LIVE if live else _BY_PREFIX, {"of_prefix": parts[1]}).first()
    digest = hashlib.sha256(secret.encode()).hexdigest()
    if row is None or not hmac.compare_digest(row.sha256, digest):
        return None
    return ApiKeyRecord._make(row)


def get_key(
    connection: Connection, key_id: str, tenant: str = INSTALLATION, *, expired: bool = False
) -> ApiKeyRecord | None:
    """The key with this id, or None where the tenant (`*`: any tenant) has no such key that is live; or, with
    `expired`, none that is not revoked."""
    standing = (ApiKey.revoked_at.is_(None),) if expired else LIVE
    row = connection.execute(select(_KEYS).where(ApiKey.id == key_id, *standing, *_of(tenant))).first()
    return None if row is None else ApiKeyRecord._make(row)


def list_keys(connection: Connection, tenant: str) -> list[ApiKeyRecord]:
    """The keys of a tenant (`*`: of every tenant) that are not revoked, expired ones among them."""
    query = select(_KEYS).where(ApiKey.revoked_at.is_(None), *_of(tenant)).order_by(ApiKey.id)
    return [ApiKeyRecord._make(row) for row in connection.execute(query)]


def _of(tenant: str) -> list[ColumnElement[bool]]:
    return [] if tenant == INSTALLATION else [ApiKey.tenant == tenant]


def any_key(connection: Connection) -> bool:
    """Whether a key has ever been made in this installation."""
    return bool(connection.scalar(select(func.count()).select_from(ApiKey)))


def revoke_key(connection: Connection, tenant: str, key_id: str) -> bool:
    """Revoke a key and end its sessions; False where the tenant (`*`: any tenant) has no such key."""
    changed = connection.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None), *_of(tenant))
        .values(revoked_at=now())
    )
    if changed.rowcount != 1:
        return False
    connection.execute(delete(Session).where(Session.key_id == key_id))
    return True


def rotate_key(
    connection: Connection, old: ApiKeyRecord, *, grace_s: float, expires_at: float | None
) -> tuple[str, str]:
    """Make a key with the name, tenant and scopes of `old`; returns (id, secret).

    The old key and its sessions live for `grace_s` seconds more, or until the old key's own end where that is
    earlier. Raises AlreadyReplaced, also for the loser of two rotations at once.
    """
    identifier, secret = create_key(
        connection, tenant=old.tenant, name=old.name, scopes=old.scopes, expires_at=expires_at
    )
    end = clock() + grace_s
    changed = connection.execute(
        update(ApiKey)
        .where(ApiKey.id == old.id, ApiKey.revoked_at.is_(None), ApiKey.replaced_by.is_(None))
        .values(
            replaced_by=identifier,
            expires_at=end if old.expires_at is None else _earlier(end, old.expires_at),
        )
    )
    if changed.rowcount != 1:
        raise AlreadyReplaced(f"key {old.id} is revoked, or a rotation has replaced it before")
    if grace_s == 0:
        connection.execute(delete(Session).where(Session.key_id == old.id))
    return identifier, secret


def _earlier(one: ColumnElement[float], other: float) -> ColumnElement[float]:
    """The lesser of two times; SQLite and PostgreSQL have no function of one name for it."""
    return case((one < other, one), else_=other)


def touch_key(connection: Connection, key_id: str) -> None:
    """Record that a key was used."""
    connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))
