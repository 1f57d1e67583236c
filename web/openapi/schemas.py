"""JSON Schemas of the contract's types, as pydantic generates them, with shared definitions as components."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from web.http.validators import adapter

Schema = dict[str, Any]
_PREFIX = "#/components/schemas/"


class _Generator(GenerateJsonSchema):
    def bytes_schema(self, schema: core_schema.BytesSchema) -> Schema:
        """Bytes are the body of a part, not text in base64. An empty file field holds nothing that was chosen."""
        return {"type": "string", "contentMediaType": "application/octet-stream", "minLength": 1}


class Schemas:
    """The schemas of a set of types; `named` holds the components that they refer to."""

    def __init__(self, kinds: Iterable[object]) -> None:
        inputs: list[Any] = [(kind, "validation", adapter(kind)) for kind in dict.fromkeys(kinds)]
        found, rest = TypeAdapter.json_schemas(
            inputs, ref_template=_PREFIX + "{model}", schema_generator=_Generator
        )
        self._found = {kind: _plain(schema) for (kind, _), schema in found.items()}
        definitions: dict[str, Schema] = rest.get("$defs", {})
        self.named = {_name(name): _plain(schema) for name, schema in sorted(definitions.items())}

    def of(self, kind: object) -> Schema:
        """The schema of one of the types; for a TypedDict a reference to its component."""
        schema: Schema = self._found[kind]
        return schema

    def properties(self, kind: object) -> dict[str, Schema]:
        """The schemas of a TypedDict's members."""
        schema = self.of(kind)
        if "$ref" in schema:
            schema = self.named[schema["$ref"].removeprefix(_PREFIX)]
        members: dict[str, Schema] = schema.get("properties", {})
        return members

    def example(self, kind: object) -> Schema | None:
        """A request made of the first example of each member; None if a required member has none."""
        members = self.properties(kind)
        made = {name: member["examples"][0] for name, member in members.items() if "examples" in member}
        return made if set(getattr(kind, "__required_keys__", ())) <= made.keys() else None


def _plain(value: object) -> Any:
    """A schema without pydantic's titles, and with the components' own names."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    made = {
        name: _plain(entry) for name, entry in value.items() if name != "title" or isinstance(entry, dict)
    }
    if isinstance(made.get("$ref"), str):
        made["$ref"] = _PREFIX + _name(made["$ref"].removeprefix(_PREFIX))
    return made


def _name(definition: str) -> str:
    """`BatchPayload` is the component Batch, and a page of them is BatchList."""
    name = re.sub(r"^Page_(\w+)_$", r"\1List", definition)
    return name.replace("Payload", "")
