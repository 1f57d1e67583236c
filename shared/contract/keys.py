"""An API key as the contract shows it."""

from typing import Annotated, Literal, NotRequired

from annotated_types import Ge, Le, MaxLen, MinLen
from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import NO_CONTROL, About, Moment, OneOf, Time, closed
from shared.contract.scopes import DEFAULT_SCOPES, SCOPES
from shared.store.records import ApiKeyRecord

DEFAULT_GRACE_S = 86_400
LONGEST_GRACE_S = 30 * 86_400


class ApiKeyPayload(TypedDict):
    id: str
    object: Literal["api_key"]
    tenant: str
    name: str
    prefix: Annotated[str, About("the public part of the secret: `gng_PREFIX_…`")]
    scopes: list[str]
    created_at: Time
    last_used_at: Time
    expires_at: Time
    replaced_by: Annotated[str | None, About("the key of its rotation; null where there was none")]
    secret: NotRequired[Annotated[str, About("only in the answer that made the key")]]


_Expiry = Annotated[
    Moment | None,
    About(
        "RFC 3339 with an offset, a time to come; from then on the key is refused",
        examples=["2126-11-24T10:00:00Z"],
    ),
]


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
    expires_at: NotRequired[_Expiry]


@closed
class RotationRequest(TypedDict, total=False):
    """How a key gives way to its successor."""

    grace: Annotated[
        float,
        Ge(0),
        Le(LONGEST_GRACE_S),
        About(
            "seconds that the old key lives on next to the new one; 0 ends it, and its sessions, at once",
            default=DEFAULT_GRACE_S,
            examples=[3600],
        ),
    ]
    expires_at: Annotated[
        _Expiry,
        About("of the new key; where absent, as long from now as the old key's was from its making"),
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
        "replaced_by": row.replaced_by,
    }
    if secret is not None:
        payload["secret"] = secret
    return payload
