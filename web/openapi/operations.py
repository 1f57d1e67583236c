"""What the API document says of a view, written beside the view."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """One documented operation.

    `answers` maps a status to what the body is: a payload type (a TypedDict), `list[…]` of one for a page of
    them, a media type, several media types, or None for no body. `body` maps a media type to a TypedDict of its
    parts, or to a sentence. `headers` are the request's, `answer_headers` those beyond what a status implies.
    """

    summary: str
    answers: dict[int, Any]
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    answer_headers: dict[str, str] = field(default_factory=dict)


def operation(
    summary: str,
    answers: dict[int, Any],
    *,
    query: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
    problems: tuple[int, ...] = (),
    headers: dict[str, str] | None = None,
    answer_headers: dict[str, str] | None = None,
) -> Callable[[_View], _View]:
    """Describe a view; see Operation."""

    def describe(view: _View) -> _View:
        view.operation = Operation(  # type: ignore[attr-defined]
            summary, answers, query or {}, body or {}, problems, headers or {}, answer_headers or {}
        )
        return view

    return describe
