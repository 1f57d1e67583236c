"""JSON Schemas (draft 2020-12, as OpenAPI 3.1 uses them) of the payload types.

`Annotated[str, BatchStatus]` is a string that is one of an enumeration's values, `Annotated[float, "…"]` a
value with a sentence for the document.
"""

import types
from enum import StrEnum
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

Schema = dict[str, Any]
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "contentMediaType": "application/octet-stream"},
    dict: {"type": "object"},
    type(None): {"type": "null"},
    Any: {},
}
_PREFIX = "#/components/schemas/"


class Schemas:
    """Turns types into schemas and gathers the named ones, each once."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type; a TypedDict becomes a reference. TypeError for a type no payload may use."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is not None:
            return self._generic(kind, origin, arguments)
        if is_typeddict(kind):
            return self._reference(kind)
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return {"type": "string", "enum": [member.value for member in kind]}
        if kind not in _PLAIN:
            raise TypeError(f"no JSON Schema for {kind!r}")
        return dict(_PLAIN[kind])

    def page_of(self, kind: Any) -> Schema:
        """One page of a list of these, as shared.contract.pages makes it."""
        name = f"{_name(kind)}List"
        if name not in self.named:
            self.named[name] = {
                "type": "object",
                "description": "A page of a list; `next_cursor` is the `cursor` of the next one.",
                "required": ["object", "data", "has_more", "next_cursor"],
                "properties": {
                    "object": {"type": "string", "enum": ["list"]},
                    "data": {"type": "array", "items": self.of(kind)},
                    "has_more": {"type": "boolean"},
                    "next_cursor": {"type": ["string", "null"]},
                },
            }
        return {"$ref": _PREFIX + name}

    def _generic(self, kind: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
        if origin is Annotated:
            schema = self._annotated(arguments[0], *arguments[1:])
        elif origin is NotRequired:
            schema = self.of(arguments[0])
        elif origin is Literal:
            schema = {"type": "string", "enum": list(arguments)}
        elif origin is list:
            schema = {"type": "array", "items": self.of(arguments[0])}
        elif origin is dict:
            schema = {"type": "object", "additionalProperties": self.of(arguments[1]) or True}
        elif origin in (Union, types.UnionType):
            schema = _union([self.of(argument) for argument in arguments])
        else:
            raise TypeError(f"no JSON Schema for {kind!r}")
        return schema

    def _reference(self, kind: Any) -> Schema:
        name = _name(kind)
        if name not in self.named:
            self.named[name] = {}  # the place is taken first: a type may hold itself
            hints = get_type_hints(kind, include_extras=True)
            schema: Schema = {
                "type": "object",
                "properties": {entry: self.of(hint) for entry, hint in hints.items()},
            }
            if kind.__required_keys__:
                schema["required"] = [entry for entry in hints if entry in kind.__required_keys__]
            if kind.__doc__:
                schema["description"] = kind.__doc__.strip()
            self.named[name] = schema
        return {"$ref": _PREFIX + name}

    def _annotated(self, kind: Any, *notes: Any) -> Schema:
        schema = self.of(kind)
        for note in notes:
            if isinstance(note, str):
                schema["description"] = note
            elif isinstance(note, dict):
                schema.update(note)
            else:
                schema["enum"] = self.of(note)["enum"] + ([None] if "null" in schema["type"] else [])
        return schema


def _name(kind: Any) -> str:
    return str(kind.__name__).removesuffix("Payload")


def _union(options: list[Schema]) -> Schema:
    """`X | None` as one schema with two types where that is possible, else `anyOf`."""
    if all(set(option) == {"type"} for option in options):
        return {"type": [option["type"] for option in options]}
    return {"anyOf": options}
