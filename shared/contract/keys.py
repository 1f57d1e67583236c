"""An API key as the contract shows it."""

from typing import Annotated, Literal, NotRequired

from annotated_types import MaxLen, MinLen
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import NO_CONTROL, About, Moment, OneOf, Time, closed
from shared.contract.scopes import DEFAULT_SCOPES, SCOPES
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
    secret: NotRequired[Annotated[str, About("only in the answer that made the key")]]


@closed
class ApiKeyRequest(TypedDict):
    name: Annotated[
        str, MinLen(1), MaxLen(200), NO_CONTROL, About("what people call the key", examples=["line 3"])
    ]
    scopes: NotRequired[
        Annotated[
            list[Annotated[str, OneOf(SCOPES)]],
            MinLen(1),
            About("what the key may do", default=list(DEFAULT_SCOPES), examples=[["read"]]),
        ]
    ]
    expires_at: NotRequired[
        Annotated[
            Moment | None,
            About(
                "RFC 3339 with an offset, a time to come; from then on the key is refused",
                examples=["2126-11-24T10:00:00Z"],
            ),
        ]
    ]


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
