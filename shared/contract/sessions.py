"""The session of a page."""

from typing import Literal, TypedDict


class SessionPayload(TypedDict):
    object: Literal["session"]
    tenant: str
    scopes: list[str]
