"""Annotations of the contract's types: descriptions, enumerations, patterns, rules and times.

The types are TypedDicts: an answer is a plain dictionary and costs nothing to build. The web server validates requests
against the same types with pydantic and generates the OpenAPI document from them. This module does not import pydantic,
so that a worker or a command of the CLI can import the types without it; pydantic calls the two `__get_pydantic_…`
hooks.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le, MaxLen, MinLen

_Type = TypeVar("_Type", bound=type)
# NUL and the other control characters: no name needs them, and PostgreSQL stores no NUL.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def closed(kind: _Type) -> _Type:
    """Make a TypedDict refuse unknown members, other types, NaN and Infinity when a request is validated."""
    kind.__pydantic_config__ = {  # type: ignore[attr-defined]
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
        "regex_engine": "python-re",
    }
    return kind


class About:
    """A description and further JSON Schema keywords of a member; `default` is filled in where it is absent."""

    def __init__(self, description: str = "", **keywords: Any) -> None:
        self.keywords = {"description": description, **keywords} if description else keywords

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, object]:
        return {**handler(schema), **self.keywords}


class OneOf:
    """A string that is one of these values; the static type stays `str`."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = tuple(str(value) for value in values)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.literal_schema(list(self.values))


UNSTATED = "unstated_rule"


class Rule:
    """A condition beyond types and bounds: `wrong(value)` says what is wrong, or None. `keywords` document it."""

    def __init__(self, wrong: Callable[[Any], str | None], **keywords: Any) -> None:
        self.wrong, self.keywords = wrong, keywords

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, object]:
        return {**handler(schema), **self.keywords}

    def _checked(self, value: Any) -> Any:
        if value is None or (trouble := self.wrong(value)) is None:
            return value
        if self.keywords:
            raise ValueError(trouble)
        from pydantic_core import PydanticCustomError

        # The document cannot state this condition, so a request that breaks it follows the document: 422, not 400.
        raise PydanticCustomError(UNSTATED, "{trouble}", {"trouble": trouble})


class _Moment:
    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        text = core_schema.str_schema(strict=True)
        return core_schema.no_info_after_validator_function(parse_moment, text)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, object]:
        return {"type": "string", "format": "date-time"}


class _Whole:
    """In JSON, 3.0 is an integer too (JSON Schema says so)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(_as_integer, handler(source))


def _as_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


_FIRST, _END = -62_135_596_800.0, 253_402_300_800.0  # the years that rfc3339 can spell


def parse_moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time. Raises ValueError; an offset is required."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError("a time is written as RFC 3339 with an offset, such as 2026-11-24T10:00:00Z")
    moment = datetime.fromisoformat(text.upper()).timestamp()
    if not _FIRST <= moment < _END:
        raise ValueError("a time lies in the years 1 to 9999, UTC")
    return moment


def _has_control(text: str) -> str | None:
    return "control characters are not allowed" if _CONTROL.search(text) else None


# In an answer: RFC 3339, UTC. In a request: RFC 3339 with an offset, read as seconds since the epoch.
Time = Annotated[str | None, About("RFC 3339, UTC", format="date-time")]
Moment = Annotated[float, _Moment()]
WHOLE = _Whole()  # behind the bounds: pydantic's schema would not name them
NO_CONTROL = Rule(_has_control, pattern=r"^[^\u0000-\u001f\u007f]*$")
Share = Annotated[float, Ge(0), Le(1)]
MAX_LABEL = 200
Label = Annotated[str, MinLen(1), MaxLen(MAX_LABEL), NO_CONTROL]
