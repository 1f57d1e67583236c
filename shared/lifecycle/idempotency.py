"""Idempotency keys: one row for each tenant and key, which names the batch of the first upload.

While that upload runs the row is a claim with a lease and no fingerprint. The seal writes the fingerprint, and from
then on the row answers every retry. So an upload that breaks off does not keep its key.

A key outlives its batch by a day: a client that tries again has not asked for a second judgement, even though the first
one has been deleted meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.store.engine import clock
from shared.store.tables import Submission

KEPT_S = 86_400.0  # after its batch was deleted


@dataclass(frozen=True, slots=True)
class First:
    """The first upload with a key; `fingerprint` is None while it runs. `deleted`: its batch is gone."""

    batch_id: str
    fingerprint: str | None
    deleted: bool = False


_OF_KEY = (Submission.tenant == bindparam("of_tenant")) & (Submission.key == bindparam("of_key"))
_RUNNING = Submission.fingerprint.is_(None)
_TAKE_OVER = (
    update(Submission)
    .where(_OF_KEY, _RUNNING, Submission.lease_until < clock())
    .values(batch_id=bindparam("by_batch"), lease_until=clock() + bindparam("lease_s"))
)
_FIRST = select(Submission.batch_id, Submission.fingerprint, Submission.forget_at).where(_OF_KEY)
_MINE = (_OF_KEY, Submission.batch_id == bindparam("by_batch"), _RUNNING)
_FINISH = update(Submission).where(*_MINE).values(fingerprint=bindparam("new_fingerprint"))
_DROP = delete(Submission).where(*_MINE)
_OF_BATCH = Submission.batch_id == bindparam("of_batch")
_OUTLIVE = (
    update(Submission)
    .where(_OF_BATCH, Submission.fingerprint.is_not(None))
    .values(forget_at=clock() + bindparam("kept_s"))
)
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
    return First(row.batch_id, row.fingerprint, row.forget_at is not None)


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


def outlive(connection: Connection, batch_id: str) -> None:
    """The batch is deleted: keep the key that made it for a day; the key of an upload that was given up is free."""
    connection.execute(delete(Submission).where(Submission.batch_id == batch_id, _RUNNING))
    connection.execute(_OUTLIVE, {"of_batch": batch_id, "kept_s": KEPT_S})


def outlived(connection: Connection, now: float, most: int) -> Sequence[tuple[str, str]]:
    """(tenant, key) of keys whose batch was deleted a day ago."""
    query = select(Submission.tenant, Submission.key).where(Submission.forget_at < now).limit(most)
    return [(row.tenant, row.key) for row in connection.execute(query)]


def forget(connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
    """Remove the rows of such keys, which may then make a batch again."""
    for tenant, key in keys:
        of_key = (Submission.tenant == tenant, Submission.key == key)
        connection.execute(delete(Submission).where(*of_key, Submission.forget_at.is_not(None)))
