"""The audit trail: an entry for each action, written in the transaction of the change itself.

Entries form chains: each holds the hash of the one before, and the head of a chain says which entry is its last. An
entry takes any chain that no other transaction holds, so that two submissions do not wait for each other's commit.
This module and `audit_chain` alone write the tables.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from shared.clock import now
from shared.contract.audit import Action
from shared.ids import new_id
from shared.store.records import AuditRecord
from shared.store.tables import AuditChain, AuditEntry

CHAINS = 16  # made by the migration
_LONGEST_ADDRESS = 64
_HEAD = select(AuditChain.chain, AuditChain.seq, AuditChain.hash)
# SQLite has one writer at a time and no row locks: SQLAlchemy leaves FOR UPDATE out there, and the first chain is free.
_FREE = _HEAD.order_by(AuditChain.chain).limit(1).with_for_update(skip_locked=True)
_CHAIN = _HEAD.where(AuditChain.chain == bindparam("wanted")).with_for_update()
_CHAINS = select(AuditChain.chain)
_ENTER = insert(AuditEntry)
_MOVE = (
    update(AuditChain)
    .where(AuditChain.chain == bindparam("of_chain"))
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
)


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller behind an action: its key, the client's address and the id of the request."""

    key_id: str | None = None
    address: str | None = None
    request_id: str | None = None


LOCAL = Actor(address="local")  # a command on the machine itself, which needs no key
SERVICE = Actor()


def append(
    connection: Connection,
    actor: Actor,
    action: Action,
    *,
    tenant: str,
    object_id: str | None,
    **detail: object,
) -> str:
    """Add an entry to the trail; returns its id. `tenant` is the object's, `*` for the installation.

    Call it last in a writing transaction: the head of the chain stays locked until the commit.
    """
    head = connection.execute(_FREE).first()
    if head is None:  # every chain is held: wait for one of them
        chains = connection.scalars(_CHAINS).all()
        if not chains:
            raise RuntimeError("the audit trail has lost its chains: run `gonogo doctor`")
        head = connection.execute(_CHAIN, {"wanted": secrets.choice(chains)}).one()
    entry = AuditRecord(
        chain=head.chain,
        seq=head.seq + 1,
        id=new_id("aud"),
        at=round(now(), 3),
        tenant=tenant,
        action=action,
        object_id=object_id,
        key_id=actor.key_id,
        address=actor.address[:_LONGEST_ADDRESS] if actor.address is not None else None,
        request_id=actor.request_id,
        detail=json.dumps(detail, sort_keys=True),
        previous=head.hash,
        hash="",
    )
    entry = entry._replace(hash=digest(entry))
    connection.execute(_ENTER, entry._asdict())
    connection.execute(_MOVE, {"of_chain": head.chain, "new_seq": entry.seq, "new_hash": entry.hash})
    return entry.id


def digest(entry: AuditRecord) -> str:
    """The hash of an entry: SHA-256 of a JSON list of its members in the order of the columns, without its own hash."""
    return hashlib.sha256(json.dumps(entry[:-1], separators=(",", ":")).encode()).hexdigest()
