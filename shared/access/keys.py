"""API keys: a prefix for the look-up and 32 random bytes, of which only the SHA-256 is kept.

The secret has full entropy, so a slow password hash would add nothing.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from shared.clock import now
from shared.contract.scopes import SCOPES
from shared.errors import GonogoError
from shared.ids import new_id
from shared.registry.activations import INSTALLATION
from shared.store.records import ApiKeyRecord
from shared.store.tables import ApiKey, ServiceSecret

_KEYS = ApiKey.__table__


class UnknownScope(GonogoError):
    code = "unknown_scope"


class InvalidTenant(GonogoError):
    code = "invalid_tenant"


def check_tenant(tenant: str) -> None:
    """Raise InvalidTenant unless a key may belong to this tenant."""
    if not 1 <= len(tenant) <= 64 or not tenant.isprintable() or tenant == INSTALLATION:
        raise InvalidTenant(f"a tenant has 1 to 64 printable characters, and is not {INSTALLATION}")


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
    parts = secret.split("_")
    if len(parts) != 3 or parts[0] != "gng":
        return None
    row = _one(connection, ApiKey.prefix == parts[1])
    digest = hashlib.sha256(secret.encode()).hexdigest()
    if row is None or not hmac.compare_digest(row.sha256, digest):
        return None
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at < now()):
        return None
    return row


def get_key(connection: Connection, key_id: str) -> ApiKeyRecord | None:
    """The live key with this id, or None."""
    row = _one(connection, and_(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)))
    return None if row is None or (row.expires_at is not None and row.expires_at < now()) else row


def _one(connection: Connection, wanted: ColumnElement[bool]) -> ApiKeyRecord | None:
    row = connection.execute(select(_KEYS).where(wanted)).first()
    return None if row is None else ApiKeyRecord._make(row)


def list_keys(connection: Connection, tenant: str) -> list[ApiKeyRecord]:
    """A tenant's live keys."""
    query = select(_KEYS).where(ApiKey.tenant == tenant, ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)
    return [ApiKeyRecord._make(row) for row in connection.execute(query)]


def revoke_key(connection: Connection, tenant: str, key_id: str) -> bool:
    """Revoke a key; False where the tenant has no such key."""
    changed = connection.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.tenant == tenant, ApiKey.revoked_at.is_(None))
        .values(revoked_at=now())
    )
    return changed.rowcount == 1


def touch_key(connection: Connection, key_id: str) -> None:
    """Record that a key was used."""
    connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))


def service_secret(connection: Connection, name: str) -> bytes:
    """A secret that all web processes share; the first caller makes it."""
    known = connection.scalar(select(ServiceSecret.value).where(ServiceSecret.name == name))
    if known is not None:
        return known
    value = secrets.token_bytes(32)
    connection.execute(insert(ServiceSecret).values(name=name, value=value))
    return value
