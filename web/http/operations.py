"""A route's contract, declared at its view: the document is generated from it, and requests are checked against it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import request
from typing_extensions import is_typeddict

from shared.contract.queries import NoQuery
from web.http import idempotency, validators

_View = TypeVar("_View", bound=Callable[..., Any])
# Bodies that a view gets as a checked dictionary; others it reads from the request itself.
_READ_HERE = {"application/json", "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Operation:
    """A documented operation.

    `answers` maps a status to the kind of its body: a TypedDict, a media type, several media types, or None for no
    body. `query` is a closed TypedDict. `body` maps a media type to a TypedDict, or to a sentence about the bytes.
    `headers` are the request's, `answer_headers` those beyond the ones that a status implies. `repeated` says why a
    POST is idempotent by itself. Any other POST honours an Idempotency-Key if its headers name one, or refuses it.
    """

    summary: str
    answers: dict[int, Any]
    query: Any = NoQuery
    body: dict[str, object] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    headers: dict[str, str | tuple[str, dict[str, object]]] = field(default_factory=dict)
    answer_headers: dict[str, str] = field(default_factory=dict)
    repeated: str = ""

    @property
    def refuses_key(self) -> bool:
        """Whether a POST with an Idempotency-Key is refused: to ignore the key would break its promise."""
        return not self.repeated and idempotency.HEADER not in self.headers


def operation(summary: str, answers: dict[int, Any], **declared: Any) -> Callable[[_View], _View]:
    """Declare a view's operation (see Operation) and check each request against it.

    The view gets the checked query as `query` if it has one, and a JSON or form body as `body`, unless
    it streams the body. Unknown and
    repeated query parameters, and members that the body's type does not name, are refused with 400.
    """
    described = Operation(summary, answers, **declared)
    kind = next((kind for media, kind in described.body.items() if media in _READ_HERE), None)

    def describe(view: _View) -> _View:
        @functools.wraps(view)
        def checked(**places: Any) -> Any:
            if request.method == "POST" and described.refuses_key:
                idempotency.refuse(request)
            query = validators.read_query(described.query, request)
            if described.query is not NoQuery:
                places["query"] = query
            if not described.body:
                validators.refuse_body(request)
            if is_typeddict(kind) and not getattr(view, "streams_body", False):
                places["body"] = validators.read_body(kind, request, described.body)
            return view(**places)

        checked.operation = described  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return describe


def takes_query(kind: Any = NoQuery) -> Callable[[_View], _View]:
    """Check the query of a view that the document leaves out, such as a page: it is as closed as an operation's.

    The view gets the checked query as `query` if it has one.
    """

    def declare(view: _View) -> _View:
        @functools.wraps(view)
        def checked(**places: Any) -> Any:
            query = validators.read_query(kind, request)
            return view(**places) if kind is NoQuery else view(query=query, **places)

        return checked  # type: ignore[return-value]

    return declare


def streams_body(view: _View) -> _View:
    """Mark a view that reads its body as it arrives; the server bounds the bodies of the others (web/server)."""
    view.streams_body = True  # type: ignore[attr-defined]
    return view
