"""Idempotency keys: one row for each tenant and key, which names the batch of the first upload.

While that upload runs the row is a claim with a lease and no fingerprint. The seal writes the fingerprint, and from
then on the row answers every retry. So an upload that breaks off does not keep its key.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.store.engine import clock
from shared.store.tables import Submission


@dataclass(frozen=True, slots=True)
class First:
    """The first upload with a key; `fingerprint` is None while it runs."""

    batch_id: str
    fingerprint: str | None


_OF_KEY = (Submission.tenant == bindparam("of_tenant")) & (Submission.key == bindparam("of_key"))
_RUNNING = Submission.fingerprint.is_(None)
_TAKE_OVER = (
    update(Submission)
    .where(_OF_KEY, _RUNNING, Submission.lease_until < clock())
    .values(batch_id=bindparam("by_batch"), lease_until=clock() + bindparam("lease_s"))
)
_FIRST = select(Submission.batch_id, Submission.fingerprint).where(_OF_KEY)
_MINE = (_OF_KEY, Submission.batch_id == bindparam("by_batch"), _RUNNING)
_FINISH = update(Submission).where(*_MINE).values(fingerprint=bindparam("new_fingerprint"))
_DROP = delete(Submission).where(*_MINE)
_RENEW = (
    update(Submission)
    .where(Submission.batch_id == bindparam("by_batch"), _RUNNING)
    .values(lease_until=clock() + bindparam("lease_s"))
)


def claim(connection: Connection, tenant: str, key: str, batch_id: str, lease_s: float) -> First | None:
    """Take a key for an upload. None: the key is ours now, perhaps taken over from an upload whose lease has ended."""
    try:
        with connection.begin_nested():
            connection.execute(
                insert(Submission).values(
                    tenant=tenant, key=key, batch_id=batch_id, lease_until=clock() + lease_s
                )
            )
        return None
    except IntegrityError:
        pass
    of_key = {"of_tenant": tenant, "of_key": key}
    taken = connection.execute(_TAKE_OVER, {**of_key, "by_batch": batch_id, "lease_s": lease_s})
    if taken.rowcount == 1:
        return None
    row = connection.execute(_FIRST, of_key).first()
    if row is None:  # its owner has given the key back since the insert failed
        return claim(connection, tenant, key, batch_id, lease_s)
    return First(row.batch_id, row.fingerprint)


def is_finished(connection: Connection, tenant: str, key: str) -> bool:
    """Whether an upload with this key has been accepted."""
    row = connection.execute(_FIRST, {"of_tenant": tenant, "of_key": key}).first()
    return row is not None and row.fingerprint is not None


def finish(connection: Connection, tenant: str, key: str, batch_id: str, fingerprint: str) -> bool:
    """Write what the batch was made of; False if a retry has taken over the key."""
    mine = {"of_tenant": tenant, "of_key": key, "by_batch": batch_id}
    return connection.execute(_FINISH, {**mine, "new_fingerprint": fingerprint}).rowcount == 1


def drop(connection: Connection, tenant: str, key: str, batch_id: str) -> None:
    """Give a key back after its upload was refused, so that the client can correct the request and retry."""
    connection.execute(_DROP, {"of_tenant": tenant, "of_key": key, "by_batch": batch_id})


def renew(connection: Connection, batch_id: str, lease_s: float) -> None:
    """Prolong the claim of a running upload."""
    connection.execute(_RENEW, {"by_batch": batch_id, "lease_s": lease_s})
