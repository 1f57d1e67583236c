"""A page of a list."""

from typing import Any, Literal, TypedDict


class ListPayload(TypedDict):
    object: Literal["list"]
    data: list[Any]
    has_more: bool
    next_cursor: str | None


def page(data: list[Any], next_cursor: str | None) -> ListPayload:
    """One page of a list."""
    return {"object": "list", "data": data, "has_more": next_cursor is not None, "next_cursor": next_cursor}
