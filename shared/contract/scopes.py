"""The scopes of an API key."""

from typing import Literal, get_args

Scope = Literal["submit", "read", "review", "admin"]
SCOPES: tuple[str, ...] = get_args(Scope)
