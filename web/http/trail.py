"""Audit entries of a request: the caller is its key, its address and its id."""

from flask import g, request
from sqlalchemy import Connection

from shared.access import audit
from shared.access.audit import Actor
from shared.contract.audit import Action
from shared.store.records import ApiKeyRecord


def actor(key_id: str | None = None) -> Actor:
    """The caller of this request; `key_id` where no key has admitted it, as at the sign-in."""
    admitted: ApiKeyRecord | None = g.get("key")
    if key_id is None and admitted is not None:
        key_id = admitted.id
    return Actor(key_id, request.remote_addr, g.get("request_id"))


def note(connection: Connection, action: Action, object_id: str, *, tenant: str, **detail: object) -> None:
    """Add the entry of an action of this request. Call it last in the transaction of the change."""
    audit.append(connection, actor(), action, tenant=tenant, object_id=object_id, **detail)
