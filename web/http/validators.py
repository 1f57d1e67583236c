"""Checks requests against the contract's types: the query, a JSON body, a form, and the `options` part."""

import contextlib
import functools
import itertools
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Request
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shared import json_text
from shared.contract.fields import UNSTATED
from shared.contract.problems import ErrorEntry
from web.http.problems import HttpProblem

_MAX_ERRORS = 50
_LARGE_BYTES = 2**16
_large = (
    threading.Lock()
)  # a text that is read takes up to forty times its size: large ones are read one by one
_DETAILS = {
    "extra_forbidden": "unknown name",
    "missing": "it is required",
    "dict_type": "it must be an object",
    "string_type": "it must be a string",
    "list_type": "it must be a list",
}
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Where the values stand in a request, and the codes of a refusal and of each of its errors."""

    pointer: str
    code: str
    error_code: str
    refusal: str


QUERY = Place(
    "/query",
    code="invalid_parameter",
    error_code="invalid_parameter",
    refusal="a query parameter can't be used",
)
BODY = Place("", code="bad_request", error_code="invalid_member", refusal="the body can't be used")
OPTIONS = Place(
    "/options", code="invalid_options", error_code="invalid_option", refusal="`options` can't be used"
)


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """The validator and schema of a type, made at the first use."""
    return TypeAdapter(kind)


@functools.cache
def properties(kind: Any) -> dict[str, dict[str, object]]:
    """The JSON Schema of each member of a TypedDict."""
    found: dict[str, dict[str, object]] = adapter(kind).json_schema().get("properties", {})
    return found


def with_defaults(kind: Any, given: Mapping[str, object]) -> dict[str, object]:
    """The members given, and the defaults of those that are absent."""
    absent = {
        name: schema["default"]
        for name, schema in properties(kind).items()
        if name not in given and "default" in schema
    }
    return {**absent, **given}


def check(kind: Any, value: Any, place: Place) -> Any:
    """The value as this type. Raises 400 with an entry for each bad member; 422 if it breaks unstated rules alone."""
    status, faults = 400, itertools.islice(json_text.faults(value), _MAX_ERRORS)
    errors = [_entry(pointer, fault, place) for pointer, fault in faults]
    if not errors:
        try:
            return adapter(kind).validate_python(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            errors = _of_pydantic(details[:_MAX_ERRORS], value, place)
            if all(each["type"] == UNSTATED for each in details):
                status = 422
    shown = "; ".join(": ".join(filter(None, (each["pointer"], each["detail"]))) for each in errors[:3])
    raise HttpProblem(status, place.code, f"{place.refusal}: {shown}", errors=errors)


def _of_pydantic(details: list[ErrorDetails], value: Any, place: Place) -> list[ErrorEntry]:
    """An entry for each place in the value; a union has an error for each of its types there."""
    found: dict[str, list[str]] = {}
    for error in details:
        found.setdefault(json_text.pointer(_place_in(value, error)), []).append(_detail(error))
    return [_entry(pointer, ", or: ".join(dict.fromkeys(texts)), place) for pointer, texts in found.items()]


def _place_in(value: Any, error: ErrorDetails) -> list[int | str]:
    """Where the error is in the value: without the names of a union's types, which pydantic puts among the members."""
    place: list[int | str] = []
    for step in error["loc"]:
        within = isinstance(step, int) and step < len(value) if isinstance(value, list) else False
        if within or (isinstance(value, dict) and step in value):
            place.append(step)
            value = value[step]
    return [*place, error["loc"][-1]] if error["type"] == "missing" else place


def _detail(error: ErrorDetails) -> str:
    known = _DETAILS.get(error["type"])
    return known or error["msg"].removeprefix("Value error, ").replace("Input should be", "it must be", 1)


def _entry(pointer: str, detail: str, place: Place) -> ErrorEntry:
    return {"code": place.error_code, "pointer": place.pointer + pointer, "detail": detail}


def read_json(kind: Any, text: bytes | str, place: Place) -> Any:
    """The value of a JSON text as this type, defaults filled in."""
    if len(text) > json_text.MAX_BYTES:
        raise HttpProblem(413, "request_too_large", f"JSON may have {json_text.MAX_BYTES} bytes")
    with _large if len(text) > _LARGE_BYTES else contextlib.nullcontext():
        return _read_json(kind, text, place)


def _read_json(kind: Any, text: bytes | str, place: Place) -> Any:
    try:
        value = json_text.parse(text)
    except json_text.NotJson as error:
        raise HttpProblem(
            400,
            place.code,
            f"{place.refusal}: it is not JSON: {error}",
            errors=[_entry("", f"it is not JSON: {error}", place)],
        ) from error
    return with_defaults(kind, check(kind, value, place))


def read_query(kind: Any, request: Request) -> dict[str, object]:
    """The query parameters as this type, defaults filled in. Unknown and repeated names are refused.

    A member that is an object is written as one parameter for each of its members: `metadata.KEY=VALUE`.
    """
    schemas, given, errors = properties(kind), dict[str, object](), list[ErrorEntry]()
    groups = {name: dict[str, str]() for name, schema in schemas.items() if schema.get("type") == "object"}
    for name in _undecodable(request.query_string):
        errors.append(_entry(f"/{json_text.escaped(name)}", "its bytes are no UTF-8", QUERY))
    for name, values in request.args.lists():
        if len(values) > 1:
            errors.append(_entry(f"/{json_text.escaped(name)}", "it is repeated", QUERY))
        group, dot, key = name.partition(".")
        if dot and group in groups:
            groups[group][key] = values[0]
        elif name in groups:
            errors.append(_entry(f"/{name}", f"write it as {name}.KEY=VALUE", QUERY))
        else:
            given[name] = _of_text(values[0], schemas.get(name, {}))
    if errors:
        raise HttpProblem(400, QUERY.code, f"{QUERY.refusal}: {errors[0]['detail']}", errors=errors)
    given |= {name: members for name, members in groups.items() if members}
    return with_defaults(kind, check(kind, given, QUERY))


def _undecodable(query: bytes) -> list[str]:
    """The names of the parameters whose bytes are no UTF-8, which the web framework would pass on undecoded."""
    found = []
    for pair in query.split(b"&"):
        try:
            unquote_to_bytes(pair).decode()
        except UnicodeDecodeError:
            found.append(unquote_to_bytes(pair.partition(b"=")[0]).decode(errors="replace"))
    return found


def _of_text(text: str, schema: dict[str, object]) -> Any:
    """A parameter's text as the type that its schema asks for; unchanged where it is not spelled as that."""
    kind = schema.get("type")
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "number" and _NUMBER.fullmatch(text):
        return float(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind == "array":
        return text.split(",")
    if schema.get("format") == "date-time":
        return text.replace(" ", "+")  # a plus sign that the client did not escape
    return text


def read_body(kind: Any, request: Request, media_types: Mapping[str, object]) -> Any:
    """The body, JSON or a form where `media_types` has it, as this type, defaults filled in.

    No body at all is an empty object where the type has no required member.
    """
    if not (request.mimetype or request.content_length or kind.__required_keys__):
        return with_defaults(kind, check(kind, {}, BODY))
    if request.mimetype not in media_types:
        raise HttpProblem(415, "unsupported_media_type", f"send {' or '.join(sorted(media_types))}")
    if request.mimetype == "application/json":
        return read_json(kind, _bounded(request), BODY)
    request.max_content_length = request.max_form_memory_size = json_text.MAX_BYTES
    given = {name: values[0] if len(values) == 1 else values for name, values in request.form.lists()}
    return with_defaults(kind, check(kind, given, BODY))


def refuse_body(request: Request) -> None:
    """Raise 400 where a path that takes no body got one. `{}`, which some clients always send, is none."""
    if request.content_length == 0 or not (request.content_length or "Transfer-Encoding" in request.headers):
        return
    if _bounded(request).strip() not in (b"", b"{}"):
        raise HttpProblem(
            400, BODY.code, "this path takes no body", errors=[_entry("", "this path takes no body", BODY)]
        )


def _bounded(request: Request) -> bytes:
    """The body, read no further than the bound of a JSON text."""
    taken = bytearray()
    while len(taken) <= json_text.MAX_BYTES and (block := request.stream.read(2**16)):
        taken += block
    return bytes(taken)
