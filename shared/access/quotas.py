"""Quotas of a tenant: the bounds in force, and what it stores, counted in the transactions that seal and purge a batch.

The installation's settings bound every tenant; an operator may set other bounds for one tenant. A bound of 0 bounds
nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.settings import Settings
from shared.store.records import QuotaRecord
from shared.store.tables import Batch, Quota

# Each bound, and the setting that holds for tenants without a bound of their own.
BOUNDS = {
    "stored_bytes": "max_tenant_stored_bytes",
    "stored_items": "max_tenant_stored_items",
    "retention_s": "max_tenant_retention_s",
    "open_items": "max_tenant_items",
    "open_bytes": "max_tenant_bytes",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a tenant; 0 bounds nothing."""

    stored_bytes: int
    stored_items: int
    retention_s: float
    open_items: int
    open_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes of images and the items that a tenant stores, over all its batches that are kept."""

    bytes: int = 0
    items: int = 0


_ADD = (
    update(Quota)
    .where(Quota.tenant == bindparam("of_tenant"))
    .values(used_bytes=Quota.used_bytes + bindparam("n_bytes"), used_items=Quota.used_items + bindparam("n"))
    .returning(Quota.used_bytes, Quota.used_items)
)
_TAKE_OFF = (
    update(Quota)
    .where(Quota.tenant == bindparam("of_tenant"))
    .values(used_bytes=Quota.used_bytes - bindparam("n_bytes"), used_items=Quota.used_items - bindparam("n"))
)
_ALL = select(Quota.__table__)
_ONE = _ALL.where(Quota.tenant == bindparam("of_tenant"))
_COUNTED = (
    select(Batch.tenant, func.sum(Batch.bytes), func.sum(Batch.total))
    .where(Batch.sealed.is_(True))
    .group_by(Batch.tenant)
)


def add(connection: Connection, tenant: str, n_bytes: int, n: int) -> Stored:
    """Count what a tenant has just stored; returns what it stores now.

    Called last in a transaction: this row is locked after chunks, items and batches.
    """
    added = {"of_tenant": tenant, "n_bytes": n_bytes, "n": n}
    row = connection.execute(_ADD, added).first()
    if row is None:
        make(connection, tenant)
        row = connection.execute(_ADD, added).one()
    return Stored(*row)


def take_off(connection: Connection, tenant: str, n_bytes: int, n: int) -> None:
    """Count what a tenant no longer stores."""
    connection.execute(_TAKE_OFF, {"of_tenant": tenant, "n_bytes": n_bytes, "n": n})


def make(connection: Connection, tenant: str) -> None:
    """Make the row of a tenant that has none."""
    try:
        with connection.begin_nested():
            connection.execute(insert(Quota).values(tenant=tenant))
    except IntegrityError:
        pass  # another transaction has made it meanwhile


def every(connection: Connection) -> dict[str, QuotaRecord]:
    """The row of each tenant that has one."""
    return {row.tenant: QuotaRecord._make(row) for row in connection.execute(_ALL)}


def find(connection: Connection, tenant: str) -> QuotaRecord:
    """The row of a tenant; an empty one if it has none."""
    row = connection.execute(_ONE, {"of_tenant": tenant}).first()
    return none(tenant) if row is None else QuotaRecord._make(row)


def none(tenant: str) -> QuotaRecord:
    """The row of a tenant that stores nothing and has no bounds of its own."""
    return QuotaRecord(tenant, 0, 0, **dict.fromkeys(BOUNDS))


def bounds(row: QuotaRecord, settings: Settings) -> Bounds:
    """The bounds in force for the tenant of a row."""
    own = {name: getattr(row, name) for name in BOUNDS}
    return Bounds(
        **{
            name: getattr(settings, setting) if own[name] is None else own[name]
            for name, setting in BOUNDS.items()
        }
    )


def set_bounds(connection: Connection, tenant: str, changed: Mapping[str, float | None]) -> QuotaRecord:
    """Give a tenant bounds of its own; None goes back to the installation's."""
    make(connection, tenant)
    if changed:
        connection.execute(update(Quota).where(Quota.tenant == tenant).values(**changed))
    return find(connection, tenant)


def recount(connection: Connection, tenant: str, *, mend: bool = False) -> tuple[Stored, Stored] | None:
    """(said, counted) if the counter of a tenant differs from its batches, else None; `mend` sets it right.

    The row is locked first: each writer of batches counts them under this lock, so that both changes are seen or
    neither.
    """
    if mend:
        make(connection, tenant)
    row = connection.execute(_ONE.with_for_update(), {"of_tenant": tenant}).first() or none(tenant)
    sums = connection.execute(_COUNTED.where(Batch.tenant == tenant)).first()
    said = Stored(row.used_bytes, row.used_items)
    counted = Stored() if sums is None else Stored(int(sums[1]), int(sums[2]))
    if said == counted:
        return None
    if mend:
        values = {"used_bytes": counted.bytes, "used_items": counted.items}
        connection.execute(update(Quota).where(Quota.tenant == tenant).values(**values))
    return said, counted


def suspects(connection: Connection) -> list[str]:
    """Tenants whose counters seem to differ, by one pass over all batches without a lock: each needs a `recount`."""
    said = {row.tenant: Stored(row.used_bytes, row.used_items) for row in every(connection).values()}
    counted = {row[0]: Stored(int(row[1]), int(row[2])) for row in connection.execute(_COUNTED)}
    return sorted(
        tenant for tenant in {*said, *counted} if said.get(tenant, Stored()) != counted.get(tenant, Stored())
    )
