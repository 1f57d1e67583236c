"""Which version is active: for a tenant, or (tenant `*`) for every tenant that has activated none itself.

Activations are rows that are never changed. A batch keeps the version it began with.
"""

from sqlalchemy import Connection, insert, select

from shared.clock import now
from shared.errors import GonogoError
from shared.store.tables import ModelActivation

INSTALLATION = "*"


class NeverActive(GonogoError):
    """A rollback names a version that is active now, or that was not active before."""

    code = "wrong_state"


def activate(connection: Connection, model_id: str, tenant: str = INSTALLATION) -> bool:
    """Let new batches of the tenant use this version; False where the tenant has activated it already."""
    mine = select(ModelActivation.model_id).where(ModelActivation.tenant == tenant)
    if connection.scalar(mine.order_by(ModelActivation.id.desc()).limit(1)) == model_id:
        return False
    connection.execute(insert(ModelActivation).values(model_id=model_id, at=now(), tenant=tenant))
    return True


def roll_back(connection: Connection, model_id: str, tenant: str = INSTALLATION) -> bool:
    """Activate a version again that was active before; raises NeverActive."""
    earlier = dict(history(connection, tenant))
    if active_id(connection, tenant) == model_id or model_id not in earlier:
        raise NeverActive(f"model {model_id} is active now, or was not active before: activate it instead")
    return activate(connection, model_id, tenant)


def active_id(connection: Connection, tenant: str = INSTALLATION) -> str | None:
    """The version that new batches of the tenant use where they name none, or None where none is active."""
    for owner in dict.fromkeys((tenant, INSTALLATION)):
        query = select(ModelActivation.model_id).where(ModelActivation.tenant == owner)
        found = connection.scalar(query.order_by(ModelActivation.id.desc()).limit(1))
        if found is not None:
            return found
    return None


def any_active_id(connection: Connection) -> str | None:
    """A version that is worth loading before the first batch: the installation's, else the newest of any tenant."""
    newest = select(ModelActivation.model_id).order_by(ModelActivation.id.desc()).limit(1)
    return active_id(connection) or connection.scalar(newest)


def history(connection: Connection, tenant: str = INSTALLATION) -> list[tuple[str, float]]:
    """(version, time) of the activations that decided for a tenant, its own and the installation's, oldest first."""
    query = (
        select(ModelActivation.model_id, ModelActivation.at)
        .where(ModelActivation.tenant.in_((tenant, INSTALLATION)))
        .order_by(ModelActivation.id)
    )
    return [(row.model_id, row.at) for row in connection.execute(query)]
