"""What the API document says of a view, written beside the view."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """One documented operation: `answers` maps a status to a payload type (a TypedDict), a media type, or None."""

    summary: str
    answers: dict[int, Any]
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    problems: tuple[int, ...] = ()


def operation(
    summary: str,
    answers: dict[int, Any],
    *,
    query: dict[str, str] | None = None,
    body: Any = None,
    problems: tuple[int, ...] = (),
) -> Callable[[_View], _View]:
    """Describe a view. `query` maps a parameter to its sentence, `body` a media type to its sentence or type."""

    def describe(view: _View) -> _View:
        view.operation = Operation(summary, answers, query or {}, body, problems)  # type: ignore[attr-defined]
        return view

    return describe
