"""The session of a page."""

from typing import Annotated, Literal

from annotated_types import MaxLen
from typing_extensions import TypedDict

from shared.contract.fields import About, closed


class SessionPayload(TypedDict):
    object: Literal["session"]
    tenant: str
    scopes: list[str]


@closed
class SessionRequest(TypedDict):
    key: Annotated[str, MaxLen(500), About("the secret of a live API key", examples=["gng_…"])]
