"""A page of a list."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from typing_extensions import TypedDict

from shared.contract.fields import About

_Entry = TypeVar("_Entry")


class Page(TypedDict, Generic[_Entry]):
    """A page of a list."""

    object: Literal["list"]
    data: list[_Entry]
    has_more: bool
    next_cursor: Annotated[str | None, About("the `cursor` of the next page")]


ListPayload = Page[Any]


def page(data: list[Any], next_cursor: str | None) -> ListPayload:
    """A page of a list."""
    return {"object": "list", "data": data, "has_more": next_cursor is not None, "next_cursor": next_cursor}
