"""An API key as the contract shows it."""

from typing import Annotated, Literal, NotRequired, TypedDict

from shared.clock import rfc3339
from shared.contract.fields import Time
from shared.store.records import ApiKeyRecord


class ApiKeyPayload(TypedDict):
    id: str
    object: Literal["api_key"]
    tenant: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: Time
    last_used_at: Time
    expires_at: Time
    secret: NotRequired[Annotated[str, "only in the answer that made the key"]]


def key_payload(row: ApiKeyRecord, secret: str | None = None) -> ApiKeyPayload:
    """A key from its row; the secret is shown once, when it is made."""
    payload: ApiKeyPayload = {
        "id": row.id,
        "object": "api_key",
        "tenant": row.tenant,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "created_at": rfc3339(row.created_at),
        "last_used_at": rfc3339(row.last_used_at),
        "expires_at": rfc3339(row.expires_at),
    }
    if secret is not None:
        payload["secret"] = secret
    return payload
