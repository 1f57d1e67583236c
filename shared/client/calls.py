"""The shapes of call that several resources share."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.client.errors import UnusableInput
from shared.client.places import with_query
from shared.client.transport import Transport

JSON = {"Content-Type": "application/json"}


def get(wire: Transport, path: str) -> Any:
    """The answer's JSON."""
    return wire.call("GET", path).json()


def post(wire: Transport, path: str, asked: Mapping[str, object] | None = None, *, once: bool = False) -> Any:
    """The answer's JSON. `once`: sending the request twice could act twice, so a broken connection ends the call."""
    body = b"" if asked is None else json.dumps(asked).encode()
    return wire.call("POST", path, body=body, headers=JSON, repeatable=not once).json()


def pages(wire: Transport, path: str, filters: Mapping[str, object]) -> Iterator[Any]:
    """The entries of a list, page after page; a filter that is None is left out."""
    query = dict(filters)
    while True:
        page = get(wire, with_query(path, **query))
        yield from page["data"]
        if not page.get("has_more"):
            return
        query["cursor"] = page["next_cursor"]


def read(path: Path) -> bytes:
    """A whole file; raises UnusableInput."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from error
